"""`luytre-collector http user`: passwords from standard input or a terminal, never from the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from luytre_collector.__main__ import main
from luytre_collector.commands import http
from luytre_collector.httpd import users
from luytre_collector.httpd.asked import Login


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "collector.toml"
    path.write_text(f"""
[ingest.tls]
authority = "a"
certificate = "b"
key = "c"
[http]
users = "{tmp_path}/http-users"
""")
    return path


def run(monkeypatch: pytest.MonkeyPatch, config: Path, *arguments: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(["http", "user", *arguments, "--config", str(config)])


def test_add_list_remove(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, config, "add", "mai", typed="tre già măng mọc\nignored\n") == 0
    assert run(monkeypatch, config, "add", "lan", typed="another password") == 0
    assert run(monkeypatch, config, "add", "lan", typed="a better password\n") == 0
    assert run(monkeypatch, config, "list") == 0
    out = capsys.readouterr().out
    assert out.endswith("lan\nmai\n")
    assert "lan: password changed" in out
    known = users.Users(config.parent / "http-users")
    known.refresh()
    assert known.check(Login("mai", "tre già măng mọc"))
    assert known.check(Login("lan", "a better password"))
    assert run(monkeypatch, config, "remove", "mai") == 0
    assert list(users.read(config.parent / "http-users")) == ["lan"]
    assert run(monkeypatch, config, "remove", "mai") == 2
    assert "no such user" in capsys.readouterr().err


def test_a_user_of_organisations(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    password = "tre già măng mọc\n"
    assert run(monkeypatch, config, "add", "minh", "--organisation", "hue", typed=password) == 2
    assert "hue: no such organisation (no file is named in sites.file)" in capsys.readouterr().err
    sites = config.parent / "sites.toml"
    sites.write_text('[[organisations]]\nid = "hue"\n[[organisations]]\nid = "da-nang"\n')
    config.write_text(config.read_text() + f'[sites]\nfile = "{sites}"\n')
    given = ["--organisation", "hue", "--organisation", "da-nang", "--organisation", "hue"]
    assert run(monkeypatch, config, "add", "minh", *given, typed=password) == 0
    assert run(monkeypatch, config, "add", "lan", typed=password) == 0
    assert run(monkeypatch, config, "add", "minh", typed="another password\n") == 0  # gives no more rights
    assert "minh: password changed, may ask about hue, da-nang" in capsys.readouterr().out
    assert run(monkeypatch, config, "list") == 0
    assert capsys.readouterr().out == "lan\nminh\thue,da-nang\n"
    assert run(monkeypatch, config, "add", "minh", "--organisation", "nowhere", typed=password) == 2
    assert f"nowhere: no such organisation ({sites}); add it to [[organisations]] first" in capsys.readouterr().err
    assert run(monkeypatch, config, "add", "minh", "--everything", typed=password) == 0
    assert run(monkeypatch, config, "list") == 0
    assert capsys.readouterr().out.endswith("lan\nminh\n")


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("mai", "too short\n", "12 to 1024 characters"),
        ("mai", "", "12 to 1024 characters"),
        ("mai", "x" * 1025, "12 to 1024 characters"),
        ("mai", "with a \t tab in it", "printable"),
        ("a:b", "long enough password", "cannot be a name"),
        ("../x", "long enough password", "cannot be a name"),
    ],
)
def test_mistakes(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, typed: str, says: str
) -> None:
    assert run(monkeypatch, config, "add", name, typed=typed) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (config.parent / "http-users").exists()


def test_on_a_terminal_it_is_typed_twice(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = iter(["long enough password", "long enough pasword", "long enough password", "long enough password"])
    monkeypatch.setattr(http.getpass, "getpass", lambda _: next(typed))
    monkeypatch.setattr("sys.stdin", Terminal())
    arguments = ["http", "user", "add", "mai", "--config", str(config)]
    assert main(arguments) == 2
    assert "differ" in capsys.readouterr().err
    assert main(arguments) == 0


def test_a_missing_folder_is_named_with_the_key(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("/http-users", "/nowhere/http-users"))
    assert run(monkeypatch, config, "add", "mai", typed="tre già măng mọc\n") == 2
    said = capsys.readouterr().err
    assert said.endswith(
        "/nowhere/http-users: there is no such folder; make it, or name another file in [http] users\n"
    )
