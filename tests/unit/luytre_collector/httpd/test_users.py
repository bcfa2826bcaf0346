"""The file of users: what is written is read, what is faulty is named, who is checked is the person."""

from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.httpd.asked import Login
from luytre_collector.httpd.users import Cost, Users, make, read, write
from luytre_common.errors import UserError

from tests.support.endpoint import CHEAP


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "users"
    assert read(path) == {}
    users = {"mai": make("one password", CHEAP), "lan@example.vn": make("another password", CHEAP)}
    users["minh"] = make("a third password", CHEAP, ("hue", "hue-kim.long"))
    write(path, users)
    assert read(path) == users
    assert path.stat().st_mode & 0o777 == 0o600
    assert "password" not in path.read_text()
    assert make("one password", CHEAP) != users["mai"]  # another salt


def test_the_cost_of_today_is_kept_with_each_user(tmp_path: Path) -> None:
    user = make("một mật khẩu dài")
    assert user.cost == Cost(1 << 15, 8, 3)
    write(tmp_path / "users", {"mai": user})
    users = Users(tmp_path / "users")
    users.refresh()
    assert users.check(Login("mai", "một mật khẩu dài"))


def test_known_is_who_was_checked_and_only_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "users"
    write(path, {"mai": make("one password", CHEAP)})
    users = Users(path)
    users.refresh()
    good = Login("mai", "one password")
    assert not users.knows(good)
    assert not users.check(Login("mai", "one passwor"))
    assert not users.check(Login("lan", "one password"))
    assert not users.check(Login("mai", "x" * 100_000))
    assert users.check(good)
    assert users.knows(good)
    assert not users.knows(Login("mai", "one passwor"))
    write(path, {"mai": make("new password", CHEAP)})
    users.refresh()
    assert not users.knows(good)
    assert not users.check(good)


@pytest.mark.parametrize(
    "line",
    [
        "mai",
        "mai:plain:secret",
        "a b:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64,
        "mai:scrypt:3:1:1:" + "0" * 32 + ":" + "0" * 64,
        "mai:scrypt:2097152:1:1:" + "0" * 32 + ":" + "0" * 64,  # would take 256 MiB and more
        "mai:scrypt:2:0:1:" + "0" * 32 + ":" + "0" * 64,
        "mai:scrypt:2:1:99:" + "0" * 32 + ":" + "0" * 64,
        "mai:scrypt:2:1:1:zz:00",
        "măng:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64,
        "mai:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64 + ":organisations=",
        "mai:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64 + ":organisations=hue,",
        "mai:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64 + ":organisations=hue' OR 1",
        "mai:scrypt:2:1:1:" + "0" * 32 + ":" + "0" * 64 + ":organisation=hue",
    ],
)
def test_a_line_that_is_no_user(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users"
    write(path, {"lan": make("one password", CHEAP)})
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match="line 2 is not a user"):
        read(path)


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "users"
    write(path, {})
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="must belong"):
        read(path)


def test_who_wrote_half_a_file_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "users"
    (tmp_path / "users.new").write_text("left by a crash")
    write(path, {"mai": make("one password", CHEAP)})
    assert list(read(path)) == ["mai"]
    assert [one.name for one in tmp_path.iterdir()] == ["users"]
