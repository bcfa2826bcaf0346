from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from luytre_agent import _core
from luytre_agent.sources import logins
from luytre_agent.sources.base import SealedBatch
from luytre_agent.sources.logins import Config, Logins
from luytre_agent.sources.logs import utmp
from luytre_common.errors import Unavailable

DEADLINE_S = 15.0


class Host:
    """The logs of a machine in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "auth.log"
        self.wtmp, self.btmp = folder / "wtmp", folder / "btmp"
        for path in (self.log, self.wtmp, self.btmp):
            path.touch()

    def config(self, **changes: Any) -> Config:
        settings: dict[str, Any] = {
            "read": "files", "auth_logs": [self.log], "wtmp": [self.wtmp], "btmp": [self.btmp], "batch_seconds": 0.05,
        }  # fmt: skip
        return Config(**{**settings, **changes})

    def source(self, **changes: Any) -> Logins:
        source = Logins(self.config(**changes), self.folder / "state")
        source.open()
        return source

    def write(self, *lines: str | bytes) -> None:
        now = datetime.now().astimezone().isoformat().encode()
        with self.log.open("ab") as file:
            for line in lines:
                file.write(now + b" web-01 " + (line if isinstance(line, bytes) else line.encode()) + b"\n")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def rows(batches: Iterable[SealedBatch]) -> list[dict[str, Any]]:
    return [
        json.loads(line) for one in batches for line in _core.to_json_lines(cast(_core.Sealed, one)).splitlines()
    ]  # fmt: skip


def gather(source: Logins, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += rows(source.poll(0.2))
    return found


def counters(source: Logins) -> dict[tuple[str, str], int]:
    return {(one.name, one.label): one.value for one in source.samples()}


def test_what_a_row_says(host: Host) -> None:
    source = host.source()
    host.write("sshd[812]: Failed password for root from 203.0.113.66 port 51514 ssh2")
    (row,) = gather(source, 1)
    wanted = {
        "event_action": "login", "event_outcome": "failure", "event_source": "auth_log", "process_name": "sshd",
        "process_pid": 812, "user_name": "root", "source_ip": "203.0.113.66", "source_port": 51514,
        "authentication_method": "password", "message": "Failed password for root from 203.0.113.66 port 51514 ssh2",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert source.rung == "auth_log+wtmp+btmp"
    counted = counters(source)
    assert [counted["reading", kind] for kind in ("journald", "auth_log", "wtmp", "btmp")] == [0, 1, 1, 1]
    source.close()


def test_restarts_lose_nothing_and_double_nothing(host: Host) -> None:
    host.write("su: before the first start")
    source = host.source()
    host.write("su: one", "su: two")
    seen = [row["message"] for row in gather(source, 2)]
    seen += [row["message"] for row in rows(source.close())]
    host.write("su: three")
    host.log.rename(host.log.with_name("auth.log.1"))
    host.log.touch()
    host.write("su: four")
    source = host.source()
    seen += [row["message"] for row in gather(source, 2)]
    assert seen == ["one", "two", "three", "four"]
    assert rows(source.close()) == []


def test_what_was_not_handed_on_is_read_again_after_a_crash(host: Host) -> None:
    source = host.source()
    host.write("su: one")
    assert [row["message"] for row in gather(source, 1)] == ["one"]
    source.poll(0.0)
    host.write("su: two")
    source._look()
    again = host.source()  # and nobody asks the first one for anything any more
    assert [row["message"] for row in gather(again, 1)] == ["two"]
    again.close()
    source._release()


def test_who_only_looks_moves_nothing(host: Host) -> None:
    source = host.source()
    assert rows(source.poll(0.0)) == []
    source.close()
    host.write("su: one")
    host.source().close()
    source = host.source()
    assert [row["message"] for row in gather(source, 1)] == ["one"]
    source.close()


def test_hostile_lines_are_data(host: Host) -> None:
    source = host.source()
    host.write(b"sshd[1]: \xff\x1b[2J", b"sshd[1]: " + b"x" * 1_000_000, "su: after", "su: last")
    with host.log.open("ab") as file:
        file.write(b"no header at all\n\n")
    found = gather(source, 5)
    assert found[0]["message"] == "\ufffd\\x1b[2J"
    assert 8000 < len(found[1]["message"]) < 8192
    assert [row["message"] for row in found[2:]] == ["after", "last", "no header at all"]
    counted = counters(source)
    assert counted["lines_cut", "auth.log"] == 1
    assert counted["headers_unread", ""] == 1
    assert counted["items", "auth.log"] == 6
    assert counted["rows", "logins"] == 5
    source.close()


def test_records(host: Host) -> None:
    source = host.source()
    shape = utmp.layout()
    for path, kind in ((host.wtmp, 7), (host.wtmp, 5), (host.btmp, 6)):
        with path.open("ab") as file:
            file.write(shape.pack(kind, 812, b"tty1", b"", b"lan", b"", 0, 0, 0, 1_795_472_684, 0, b"\0" * 16))
    found = gather(source, 2)
    assert [(row["event_source"], row["event_action"], row["event_outcome"]) for row in found] == [
        ("wtmp", "login", "success"), ("btmp", "login", "failure"),
    ]  # fmt: skip
    assert counters(source)["records_ignored", ""] == 1
    source.close()


def test_a_file_that_comes_later_is_read_whole(host: Host) -> None:
    host.log.unlink()
    source = host.source()
    assert dict(source.refused)["auth_log"].endswith("No such file or directory")
    host.write("su: one")
    assert [row["message"] for row in gather(source, 1)] == ["one"]
    source.close()


def test_a_fifo_is_not_waited_for(host: Host) -> None:
    host.log.unlink()
    os.mkfifo(host.log)
    assert stat.S_ISFIFO(host.log.stat().st_mode)
    source = host.source()
    assert "is not a regular file" in dict(source.refused)["auth_log"]
    assert counters(source)["unreadable", "auth.log"] == 1
    source.close()


def test_nothing_to_read_is_unavailable(tmp_path: Path) -> None:
    config = Config(read="auto", journalctl=[str(tmp_path / "none")], auth_logs=[tmp_path / "a"], wtmp=[], btmp=[])
    with pytest.raises(Unavailable, match=r"logins: journald: .*no such program.*auth_log: .*No such file.*; install"):
        Logins(config, tmp_path).open()


def test_state_that_cannot_be_written_is_counted(host: Host) -> None:
    source = host.source()
    (host.folder / "state/logins.new").mkdir(parents=True)
    host.write("su: one")
    gather(source, 1)
    source.poll(0.0)
    source.close()
    assert counters(source)["state_failures", ""] >= 1


def test_state_of_nonsense_is_a_first_start(host: Host) -> None:
    (host.folder / "state").mkdir()
    for nonsense in ({"tails": 7, "cursor": 7}, {"tails": {str(host.log): {"now": [{"inode": "x"}], "done": 7}}}):
        (host.folder / "state/logins.json").write_text(json.dumps(nonsense))
        source = host.source()
        host.write("su: one")
        assert gather(source, 1)
        source.close()


def test_nothing_is_built_when_it_is_off(tmp_path: Path) -> None:
    assert logins.build(Config(enabled=False), tmp_path) == {}
    made = logins.build(Config(), tmp_path)["logins"]()
    assert (made.name, made.finished, list(made.samples()), list(made.close())) == ("logins", False, [], [])


def test_planted_secrets_never_leave(host: Host) -> None:
    source = host.source()
    secret = "Tr0ub4dor-and-3"
    host.write(
        f"sudo:  lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql --password={secret} -h db",
        f"CRON[7]: (root) CMD (curl https://lan:{secret}@example.org/)",
    )
    found = gather(source, 2)
    assert found[0]["process_command_line"].startswith("/usr/bin/mysql --password=")
    assert found[1]["process_command_line"].startswith("curl https://")
    assert secret not in json.dumps(found)
    source.close()
    assert secret not in (host.folder / "state/logins.json").read_text()
