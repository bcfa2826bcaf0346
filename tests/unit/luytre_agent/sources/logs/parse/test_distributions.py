# ruff: noqa: E501  (a line per line)
"""Whole lines as the distributions write them to their log files: header, program and message together."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.sources.logs.parse import parse
from luytre_agent.sources.logs.syslog import clean, header

NOW = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
KEY = "SHA256:0Zv7xGJyTn6hQ3X8uYk2b1n9c5m4l3k2j1h0g9f8d7s"

#: Distribution, line, and action/outcome with user, target, method, address, key and session as far as they are said.
LINES: list[tuple[str, str, str]] = [
    # Debian 11, Ubuntu 20.04: OpenSSH 8, sudo 1.8 and 1.9, systemd 245 and 247, time of RFC 3164
    ("debian 11", f"Nov 23 08:01:02 web-01 sshd[812]: Accepted publickey for lan from 203.0.113.66 port 51514 ssh2: ED25519 {KEY}", f"login success user=lan method=publickey ip=203.0.113.66 key={KEY}"),
    ("debian 11", "Nov 23 08:01:02 web-01 sshd[812]: pam_unix(sshd:session): session opened for user lan(uid=1000) by (uid=0)", "session_open success user=lan"),
    ("debian 11", "Nov 23 08:01:02 web-01 systemd-logind[512]: New session 3 of user lan.", "session_open success user=lan session=3"),
    ("debian 11", "Nov  3 08:01:02 web-01 sudo:      lan : TTY=pts/0 ; PWD=/home/lan ; USER=root ; COMMAND=/usr/bin/id", "sudo success user=lan target=root"),
    ("debian 11", "Nov 23 08:01:02 web-01 su: (to root) lan on pts/0", "su success user=lan target=root"),
    ("debian 11", "Nov 23 08:01:02 web-01 useradd[99]: new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh, from=/dev/pts/0", "user_added success target=bob"),
    ("ubuntu 20.04", "Nov 23 08:01:02 web-01 sshd[812]: Failed password for invalid user admin from 2001:db8::66 port 51514 ssh2", "login failure user=admin method=password ip=2001:db8::66"),
    ("ubuntu 20.04", "Nov 23 08:01:02 web-01 sshd[812]: pam_unix(sshd:session): session opened for user lan by (uid=0)", "session_open success user=lan"),
    ("ubuntu 20.04", "Nov 23 08:01:02 web-01 sudo: pam_unix(sudo:auth): authentication failure; logname=lan uid=1000 euid=0 tty=/dev/pts/0 ruser=lan rhost=  user=lan", "sudo failure user=lan target=lan method=password"),
    ("ubuntu 20.04", "Nov 23 08:01:02 web-01 CRON[77]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)", "cron success user=root"),
    ("ubuntu 20.04", "Nov 23 08:01:02 web-01 polkitd(authority=local): Registered Authentication Agent for unix-session:2 (system bus name :1.9 [/usr/bin/pkttyagent --notify-fd 5 --fallback], object path /org/x, locale C)", "other session=2"),
    # Debian 12, Ubuntu 22.04 and 24.04: OpenSSH 9, systemd 249 to 255; ISO 8601 in auth.log since Debian 12 and Ubuntu 24.04
    ("debian 12", "2026-11-23T08:01:02.123456+07:00 web-01 sshd[812]: Accepted password for lan from 203.0.113.66 port 51514 ssh2", "login success user=lan method=password ip=203.0.113.66"),
    ("debian 12", "2026-11-23T08:01:02.123456+07:00 web-01 systemd-logind[512]: New session c2 of user lan.", "session_open success user=lan session=c2"),
    ("debian 12", "2026-11-23T08:01:02.123456+07:00 web-01 sudo:      lan : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/home/lan ; USER=root ; COMMAND=/usr/bin/id", "sudo failure user=lan target=root"),
    ("debian 12", "2026-11-23T08:01:02.123456+07:00 web-01 usermod[99]: add 'bob' to shadow group 'sudo'", "user_changed success target=bob"),
    ("debian 12", "2026-11-23T08:01:02.123456+07:00 web-01 chpasswd[99]: pam_unix(chpasswd:chauthtok): password changed for bob", "password_changed success target=bob"),
    ("ubuntu 22.04", "Nov 23 08:01:02 web-01 su[900]: FAILED SU (to root) lan on pts/0", "su failure user=lan target=root"),
    ("ubuntu 22.04", "Nov 23 08:01:02 web-01 pkexec[900]: lan: Error executing command as another user: Not authorized [USER=root] [TTY=/dev/pts/0] [CWD=/home/lan] [COMMAND=/usr/bin/id]", "polkit failure user=lan target=root"),
    ("ubuntu 24.04", "2026-11-23T08:01:02.123456+00:00 web-01 sshd[812]: error: maximum authentication attempts exceeded for root from 203.0.113.66 port 51514 ssh2 [preauth]", "login failure user=root ip=203.0.113.66"),
    ("ubuntu 24.04", "2026-11-23T08:01:02.123456+00:00 web-01 systemd-logind[512]: New session 3 of user lan.", "session_open success user=lan session=3"),
    ("ubuntu 24.04", "2026-11-23T08:01:02.123456+00:00 web-01 groupadd[99]: group added to /etc/gshadow: name=ops", "group_added success target=ops"),
    # Debian 13: OpenSSH 10 with sshd-session and sshd-auth, systemd 257, login of util-linux
    ("debian 13", "2026-11-23T08:01:02.123456+07:00 web-01 sshd-session[812]: Accepted publickey for lan from 203.0.113.66 port 51514 ssh2: ED25519 " + KEY, f"login success user=lan method=publickey ip=203.0.113.66 key={KEY}"),
    ("debian 13", "2026-11-23T08:01:02.123456+07:00 web-01 sshd-session[812]: Invalid user admin from 203.0.113.66 port 51514", "login failure user=admin ip=203.0.113.66"),
    ("debian 13", "2026-11-23T08:01:02.123456+07:00 web-01 systemd-logind[512]: New session '3' of user 'lan' with class 'user' and type 'tty'.", "session_open success user=lan session=3"),
    ("debian 13", "2026-11-23T08:01:02.123456+07:00 web-01 login[700]: FAILED LOGIN 1 FROM tty1 FOR lan, Authentication failure", "login failure user=lan method=password"),
    ("debian 13", "2026-11-23T08:01:02.123456+07:00 web-01 login[700]: ROOT LOGIN ON tty1", "login success method=password"),
    # RHEL 8 and 9: /var/log/secure and /var/log/cron, sssd and faillock
    ("rhel 8", "Nov 23 08:01:02 db-01 sshd[812]: pam_sss(sshd:auth): authentication success; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66 user=lan", "other success user=lan ip=203.0.113.66"),
    ("rhel 8", "Nov 23 08:01:02 db-01 sshd[812]: pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66 user=lan", "other failure user=lan method=password ip=203.0.113.66"),
    ("rhel 8", "Nov 23 08:01:02 db-01 su[900]: pam_unix(su-l:session): session opened for user root by lan(uid=1000)", "session_open success user=lan target=root"),
    ("rhel 8", "Nov 23 08:01:02 db-01 CROND[77]: (root) CMD (run-parts /etc/cron.hourly)", "cron success user=root"),
    ("rhel 8", "Nov 23 08:01:02 db-01 polkitd[600]: Operator of unix-session:2 successfully authenticated as unix-user:root to gain ONE-SHOT authorization for action org.freedesktop.systemd1.manage-units for system-bus-name::1.42 [systemctl restart x] (owned by unix-user:lan)", "polkit success user=lan target=root session=2"),
    ("rhel 9", "Nov 23 08:01:02 db-01 sshd[812]: Accepted gssapi-with-mic for lan from 203.0.113.66 port 51514 ssh2: lan@EXAMPLE.ORG", "login success user=lan method=gssapi-with-mic ip=203.0.113.66"),
    ("rhel 9", "Nov 23 08:01:02 db-01 sshd[812]: pam_faillock(sshd:auth): Consecutive login failures for user lan account temporarily locked", "other failure user=lan"),
    ("rhel 9", "Nov 23 08:01:02 db-01 CROND[77]: (root) CMDEND (run-parts /etc/cron.hourly)", "other user=root"),
    ("rhel 9", "Nov 23 08:01:02 db-01 sudo[900]:     lan : TTY=pts/0 ; PWD=/home/lan ; USER=root ; TSID=000001 ; COMMAND=/bin/bash", "sudo success user=lan target=root"),
    ("rhel 9", "Nov 23 08:01:02 db-01 userdel[99]: removed shadow group 'bob' owned by 'bob'", "group_removed success target=bob"),
    # Somebody else's line that quotes a login
    ("any", "2026-11-23T08:01:02+07:00 web-01 nginx[5]: GET / Nov 23 08:01:02 web-01 sshd[812]: Accepted password for root from 203.0.113.66 port 51514 ssh2", "other"),
    ("any", "2026-11-23T08:01:02+07:00 web-01 nginx[5]: sshd[812]: Accepted password for root from 203.0.113.66 port 51514 ssh2", "other"),
    ("any", r"2026-11-23T08:01:02+07:00 web-01 nginx[5]: x\x0a2026-11-23T08:01:02+07:00 web-01 sshd[812]: Accepted password for root from 203.0.113.66 port 51514 ssh2", "other"),
]  # fmt: skip

_COLUMNS = {
    "user": "user_name",
    "target": "user_target_name",
    "method": "authentication_method",
    "ip": "source_ip",
    "key": "ssh_key_fingerprint",
    "session": "session_id",
}


def said(row: dict[str, Any]) -> str:
    words = [row["event_action"], row.get("event_outcome", "")]
    words += [f"{short}={row[column]}" for short, column in _COLUMNS.items() if row.get(column)]
    return " ".join(filter(None, words))


@pytest.mark.parametrize(
    ("distribution", "line", "wanted"), LINES, ids=[f"{one[0]} {n}" for n, one in enumerate(LINES)]
)
def test_lines(distribution: str, line: str, wanted: str) -> None:
    entry = header(clean(line.encode()), NOW, UTC)
    assert entry is not None, distribution
    assert said(parse(entry.program, entry.message)) == wanted


def _hear(heard: socket.socket, messages: list[bytes]) -> None:
    while message := heard.recv(8192):
        messages.append(message)


_DEVICES = {"null": "c 1 3", "zero": "c 1 5", "urandom": "c 1 9", "tty": "c 5 0"}


@pytest.mark.root
def test_the_programs_of_this_host(tmp_path: Path) -> None:
    """What useradd, su and the like of this machine say to syslog(3) is understood. They have a /dev of their own."""
    devices, root = tmp_path / "dev", tmp_path / "root"
    devices.mkdir()
    (root / "etc").mkdir(parents=True)
    for name, content in {
        "passwd": "root:x:0:0::/root:/bin/sh\n",
        "group": "root:x:0:\n",
        "shadow": "",
        "gshadow": "",
    }.items():
        (root / "etc" / name).write_text(content)
    for name, kind in _DEVICES.items():
        subprocess.run(["mknod", "-m", "666", str(devices / name), *kind.split()], check=True)
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    folder = os.open(devices, os.O_PATH)  # the name of a socket is short
    heard.bind(f"/proc/self/fd/{folder}/log")
    messages: list[bytes] = []
    listener = threading.Thread(target=_hear, args=(heard, messages))  # who is not heard waits
    listener.start()
    commands = f"""
mount --bind {devices} /dev
groupadd -P {root} ops
useradd -P {root} -M bob
usermod -P {root} -aG ops bob
usermod -P {root} -s /bin/false bob
userdel -P {root} bob
groupdel -P {root} ops
su -s /bin/true nobody
"""
    try:
        subprocess.run(["unshare", "--mount", "sh", "-ec", commands], check=True, capture_output=True, timeout=60)
    finally:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", f"/proc/self/fd/{folder}/log")
        listener.join()
        heard.close()
        os.close(folder)
    rows = []
    for message in messages:
        found = re.fullmatch(rb"<\d+>(\w+ +\d+ [\d:]+) (.*)", message.rstrip(b"\0\n"), re.DOTALL)
        assert found, message
        entry = header(clean(found[1] + b" web-01 " + found[2]), NOW)
        assert entry is not None, message
        if entry.message.startswith(("pam_limits(", "pam_systemd(")):
            continue  # what is wrong with this machine
        rows.append(said(parse(entry.program, entry.message)))
    for wanted in (
        "group_added success target=ops", "user_added success target=bob", "user_changed success target=bob",
        "user_removed success target=bob", "group_removed success target=ops",
    ):  # fmt: skip
        assert wanted in rows, rows
    assert any(row.startswith("su success") and row.endswith("target=nobody") for row in rows), rows
    assert any(row.startswith("session_open success") and "target=nobody" in row for row in rows), rows
    assert not [row for row in rows if row.startswith("other")], rows
