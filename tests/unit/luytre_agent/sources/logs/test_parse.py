# ruff: noqa: E501  (a line per line)
from __future__ import annotations

from typing import Any

import pytest
from luytre_agent.sources.logs.parse import parse

#: Program, message, and the columns by which they are told: action, outcome, user, target, address, port, and others.
LINES: list[tuple[str, str, dict[str, Any]]] = []


def says(program: str, message: str, action: str, outcome: str = "", **columns: Any) -> None:
    names = {"user": "user_name", "target": "user_target_name", "ip": "source_ip", "port": "source_port"}
    names |= {"method": "authentication_method", "key": "ssh_key_fingerprint", "tty": "process_tty"}
    names |= {"session": "session_id", "command": "process_command_line"}
    wanted = {names[name]: value for name, value in columns.items()}
    LINES.append((program, message, {"event_action": action, "event_outcome": outcome, **wanted}))


S, F = "success", "failure"
HERE: dict[str, Any] = {"ip": "203.0.113.66", "port": 51514}
FROM = "from 203.0.113.66 port 51514"
KEY = "SHA256:0Zv7xGJyTn6hQ3X8uYk2b1n9c5m4l3k2j1h0g9f8d7s"

says("sshd", f"Accepted password for lan {FROM} ssh2", "login", S, user="lan", method="password", **HERE)
says("sshd-session", f"Accepted password for lan {FROM} ssh2", "login", S, user="lan", method="password", **HERE)
says(
    "sshd",
    f"Accepted publickey for lan {FROM} ssh2: ED25519 {KEY}",
    "login",
    S,
    user="lan",
    method="publickey",
    key=KEY,
    **HERE,
)
says(
    "sshd",
    "Accepted publickey for lan from 2001:db8::7 port 22 ssh2: RSA " + KEY,
    "login",
    S,
    user="lan",
    method="publickey",
    key=KEY,
    ip="2001:db8::7",
    port=22,
)
says(
    "sshd",
    f"Accepted publickey for lan {FROM} ssh2: ED25519-CERT {KEY} ID lan@hue (serial 3) CA ED25519 SHA256:ca",
    "login",
    S,
    user="lan",
    method="publickey",
    key=KEY,
    **HERE,
)
says(
    "sshd",
    f"Accepted keyboard-interactive/pam for lan {FROM} ssh2",
    "login",
    S,
    user="lan",
    method="keyboard-interactive/pam",
    **HERE,
)
says(
    "sshd",
    "Accepted gssapi-with-mic for lan from fe80::1%eth0 port 5 ssh2",
    "login",
    S,
    user="lan",
    method="gssapi-with-mic",
    ip="fe80::1",
    port=5,
)
says("sshd", f"Failed password for root {FROM} ssh2", "login", F, user="root", method="password", **HERE)
says("sshd", f"Failed password for invalid user admin {FROM} ssh2", "login", F, user="admin", method="password", **HERE)
says("sshd", f"Failed password for invalid user  {FROM} ssh2", "login", F, method="password", **HERE)
says("sshd", f"Failed none for invalid user oracle {FROM} ssh2", "login", F, user="oracle", method="none", **HERE)
says(
    "sshd",
    f"Failed publickey for lan {FROM} ssh2: RSA {KEY}",
    "login",
    F,
    user="lan",
    method="publickey",
    key=KEY,
    **HERE,
)
says("sshd", "Failed password for lan from UNKNOWN port 65535 ssh2", "login", F, user="lan", method="password")
says("sshd", f"Invalid user admin {FROM}", "login", F, user="admin", **HERE)
says("sshd", "Invalid user admin from 203.0.113.66", "login", F, user="admin", ip="203.0.113.66", port=0)
says(
    "sshd",
    f"error: maximum authentication attempts exceeded for root {FROM} ssh2 [preauth]",
    "login",
    F,
    user="root",
    **HERE,
)
says(
    "sshd",
    f"error: maximum authentication attempts exceeded for invalid user x y {FROM} ssh2 [preauth]",
    "login",
    F,
    user="x y",
    **HERE,
)
says(
    "sshd",
    "User lan from 203.0.113.66 not allowed because not listed in AllowUsers",
    "login",
    F,
    user="lan",
    ip="203.0.113.66",
    port=0,
)
says("sshd", "ROOT LOGIN REFUSED FROM 203.0.113.66 port 51514", "login", F, **HERE)
says("sshd", "Connection closed by 203.0.113.66 port 51514 [preauth]", "other", **HERE)
says(
    "sshd",
    "Connection closed by authenticating user root 203.0.113.66 port 51514 [preauth]",
    "other",
    user="root",
    **HERE,
)
says("sshd", "Connection closed by invalid user a b 203.0.113.66 port 51514 [preauth]", "other", user="a b", **HERE)
says("sshd", "Connection reset by 203.0.113.66 port 51514", "other", **HERE)
says("sshd", "Disconnected from user lan 203.0.113.66 port 51514", "logout", S, user="lan", **HERE)
says(
    "sshd", "Disconnected from authenticating user root 203.0.113.66 port 51514 [preauth]", "other", user="root", **HERE
)
says("sshd", "Disconnected from 203.0.113.66 port 51514", "other", **HERE)
says("sshd", "Received disconnect from 203.0.113.66 port 51514:11: Bye Bye [preauth]", "other", **HERE)
says("sshd", "Received disconnect from 203.0.113.66: 11: disconnected by user", "other", ip="203.0.113.66", port=0)
says(
    "sshd",
    "Disconnecting authenticating user root 203.0.113.66 port 51514: Too many authentication failures [preauth]",
    "other",
    F,
    user="root",
    **HERE,
)
says("sshd", f"Postponed publickey for lan {FROM} ssh2 [preauth]", "other", user="lan", method="publickey", **HERE)
says("sshd", "Server listening on 0.0.0.0 port 22.", "other")
says("sshd", "pam_unix(sshd:session): session opened for user lan(uid=1000) by (uid=0)", "session_open", S, user="lan")
says("sshd", "pam_unix(sshd:session): session opened for user lan by (uid=0)", "session_open", S, user="lan")
says("sshd", "pam_unix(sshd:session): session closed for user lan", "session_close", S, user="lan")
says(
    "sshd",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66  user=root",
    "other",
    F,
    user="root",
    method="password",
    tty="ssh",
    ip="203.0.113.66",
    port=0,
)
says(
    "sshd",
    "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66  user=root",
    "other",
)

# Names that look like the rest of the line.
says(
    "sshd",
    f"Failed password for invalid user x from 1.2.3.4 port 22 ssh2 {FROM} ssh2",
    "login",
    F,
    user="x from 1.2.3.4 port 22 ssh2",
    method="password",
    **HERE,
)
says("sshd", f"Invalid user x from 1.2.3.4 port 22 {FROM}", "login", F, user="x from 1.2.3.4 port 22", **HERE)
says(
    "sshd",
    f"Failed publickey for invalid user x from 1.2.3.4 port 22 ssh2: RSA SHA256:no {FROM} ssh2: RSA {KEY}",
    "login",
    F,
    user="x from 1.2.3.4 port 22 ssh2: RSA SHA256:no",
    method="publickey",
    key=KEY,
    **HERE,
)
says(
    "sshd",
    f"Failed publickey for lan {FROM} ssh2: ED25519-CERT {KEY} ID x from 1.2.3.4 port 22 ssh2 (serial 0) CA RSA SHA256:ca",
    "login",
    F,
    method="publickey",
)
says(
    "sshd",
    "Connection closed by invalid user lan 1.2.3.4 port 22 203.0.113.66 port 51514 [preauth]",
    "other",
    user="lan 1.2.3.4 port 22",
    **HERE,
)
says(
    "sshd",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66  user=x rhost=1.2.3.4  user=root",
    "other",
    F,
    user="x rhost=1.2.3.4  user=root",
    method="password",
    tty="ssh",
    ip="203.0.113.66",
    port=0,
)
says("nginx", f"Accepted password for root {FROM} ssh2", "other")
says("sudo", f"Accepted password for root {FROM} ssh2", "other")
says("", f"Accepted password for root {FROM} ssh2", "other")

RUN = "TTY=pts/0 ; PWD=/home/lan ; USER=root ; COMMAND=/usr/bin/id -u"
WHAT: dict[str, Any] = {"tty": "pts/0", "user": "lan", "target": "root", "command": "/usr/bin/id -u"}
says("sudo", f"     lan : {RUN}", "sudo", S, **WHAT)
says("sudo", f"     lan : 3 incorrect password attempts ; {RUN}", "sudo", F, **WHAT)
says("sudo", f"     lan : user NOT in sudoers ; {RUN}", "sudo", F, **WHAT)
says("sudo", f"     lan : command not allowed ; {RUN}", "sudo", F, **WHAT)
says(
    "sudo",
    "www-data : PWD=/ ; USER=root ; COMMAND=/bin/sh",
    "sudo",
    S,
    user="www-data",
    target="root",
    command="/bin/sh",
)
says(
    "sudo",
    "lan : TTY=pts/0 ; PWD=/ ; USER=root ; GROUP=adm ; ENV=A=b ; COMMAND=list",
    "sudo",
    S,
    tty="pts/0",
    user="lan",
    target="root",
    command="list",
)
says(
    "sudo",
    "lan : TTY=pts/0 ; PWD=/tmp/x ; USER=bob ; COMMAND=/bin/true ; USER=root ; COMMAND=/bin/sh",
    "sudo",
    S,
    tty="pts/0",
    user="lan",
)
says(
    "sudo",
    "lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh -c x ; USER=bob ; COMMAND=/bin/true",
    "sudo",
    S,
    tty="pts/0",
    user="lan",
)
says("sudo", "lan : (command continued) the rest", "sudo", S, user="lan", command="the rest")
says(
    "sudo",
    "pam_unix(sudo:session): session opened for user root(uid=0) by lan(uid=1000)",
    "session_open",
    S,
    user="lan",
    target="root",
)
says("sudo", "pam_unix(sudo:session): session closed for user root", "session_close", S, target="root")
says(
    "sudo",
    "pam_unix(sudo:auth): authentication failure; logname=lan uid=1000 euid=0 tty=/dev/pts/0 ruser=lan rhost=  user=lan",
    "sudo",
    F,
    user="lan",
    target="lan",
    tty="/dev/pts/0",
    method="password",
)
says("sudo", "pam_unix(sudo:auth): conversation failed", "other")

says("su", "(to root) lan on pts/0", "su", S, user="lan", target="root", tty="pts/0")
says("su", "FAILED SU (to root) lan on pts/0", "su", F, user="lan", target="root", tty="pts/0")
says("su", "Successful su for root by lan", "su", S, user="lan", target="root")
says("su", "FAILED su for root by lan", "su", F, user="lan", target="root")
says("su", "+ /dev/pts/0 lan:root", "su", S, user="lan", target="root", tty="/dev/pts/0")
says("su", "- /dev/pts/0 lan:root", "su", F, user="lan", target="root", tty="/dev/pts/0")
says(
    "su",
    "pam_unix(su-l:auth): authentication failure; logname=lan uid=1000 euid=0 tty=/dev/pts/0 ruser=lan rhost=  user=root",
    "su",
    F,
    user="lan",
    target="root",
    tty="/dev/pts/0",
    method="password",
)
says(
    "su",
    "pam_unix(su-l:session): session opened for user root(uid=0) by lan(uid=1000)",
    "session_open",
    S,
    user="lan",
    target="root",
)

says("login", "LOGIN ON tty1 BY lan", "login", S, user="lan", tty="tty1", method="password")
says(
    "login",
    "LOGIN ON pts/1 BY lan FROM 203.0.113.66",
    "login",
    S,
    user="lan",
    tty="pts/1",
    method="password",
    ip="203.0.113.66",
    port=0,
)
says("login", "ROOT LOGIN ON tty1", "login", S, tty="tty1", method="password")
says("login", "ROOT LOGIN  on '/dev/tty1'", "login", S, tty="/dev/tty1", method="password")
says(
    "login",
    "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
    "login",
    F,
    user="root",
    tty="/dev/tty1",
    method="password",
)
says("login", "FAILED LOGIN 1 FROM (null) FOR root, Authentication failure", "login", F, user="root", method="password")
says(
    "login",
    "pam_unix(login:auth): authentication failure; logname=LOGIN uid=0 euid=0 tty=/dev/tty1 ruser= rhost=  user=lan",
    "login",
    F,
    user="lan",
    tty="/dev/tty1",
    method="password",
)

says(
    "CRON",
    "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)",
    "cron",
    S,
    user="root",
    command="cd / && run-parts --report /etc/cron.hourly",
)
says("CROND", "(lan) CMD (/usr/bin/x (y))", "cron", S, user="lan", command="/usr/bin/x (y)")
says("crontab", "(lan) REPLACE (lan)", "cron", user="lan", target="lan")
says("cron", "(root) RELOAD (crontabs/root)", "other", user="root")
says("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", "session_open", S, user="root")

says(
    "polkitd",
    "Operator of unix-session:2 FAILED to authenticate to gain authorization for action org.freedesktop.policykit.exec for unix-process:812:5512 [bash] (owned by unix-user:lan)",
    "polkit",
    F,
    user="lan",
    session="2",
)
says(
    "polkitd",
    "Operator of unix-session:2 successfully authenticated as unix-user:root to gain TEMPORARY authorization for action a.b for unix-process:8:9 [bash] (owned by unix-user:lan)",
    "polkit",
    S,
    user="lan",
    target="root",
    session="2",
)
says(
    "polkitd",
    "Registered Authentication Agent for unix-session:2 (system bus name :1.9 [x], object path /y, locale en)",
    "other",
    session="2",
)
says(
    "pkexec",
    "lan: Executing command [USER=root] [TTY=unknown] [CWD=/home/lan] [COMMAND=/usr/bin/id]",
    "polkit",
    S,
    user="lan",
    target="root",
    tty="unknown",
    command="/usr/bin/id",
)
says(
    "pkexec",
    "lan: Error executing command as another user: Not authorized [USER=root] [TTY=/dev/pts/0] [CWD=/] [COMMAND=/usr/bin/id]",
    "polkit",
    F,
    user="lan",
    target="root",
    tty="/dev/pts/0",
    command="/usr/bin/id",
)

says(
    "useradd",
    "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh, from=/dev/pts/0",
    "user_added",
    S,
    target="bob",
)
says("useradd", "failed adding user 'bob', data deleted", "user_added", F, target="bob")
says("useradd", "new group: name=bob, GID=1001", "group_added", S, target="bob")
says("useradd", "add 'bob' to group 'sudo'", "user_changed", S, target="bob")
says("usermod", "add 'bob' to shadow group 'sudo'", "user_changed", S, target="bob")
says("usermod", "change user 'bob' shell from '/bin/sh' to '/bin/bash'", "user_changed", S, target="bob")
says("usermod", "change user 'bob' password", "password_changed", S, target="bob")
says("usermod", "lock user 'bob' password", "user_changed", S, target="bob")
says("userdel", "delete user 'bob'", "user_removed", S, target="bob")
says("userdel", "removed group 'bob' owned by 'bob'", "group_removed", S, target="bob")
says("userdel", "delete 'bob' from group 'sudo'", "user_changed", S, target="bob")
says("groupadd", "group added to /etc/group: name=ops, GID=1002", "group_added", S, target="ops")
says("groupadd", "new group: name=ops, GID=1002", "group_added", S, target="ops")
says("groupmod", "group changed in /etc/group (group ops/1002, new name: dev)", "group_changed", S, target="ops")
says("groupdel", "group 'ops' removed from /etc/group", "group_removed", S, target="ops")
says("passwd", "password for 'bob' changed by 'root'", "password_changed", S, user="root", target="bob")
says("passwd", "pam_unix(passwd:chauthtok): password changed for bob", "password_changed", S, target="bob")
says("chage", "changed password expiry for bob", "user_changed", S, target="bob")
says("gpasswd", "user bob added by root to group sudo", "user_changed", S, user="root", target="bob")
says("chsh", "changed user 'bob' shell to '/bin/bash'", "user_changed", S, target="bob")

says("systemd-logind", "New session 3 of user lan.", "session_open", S, user="lan", session="3")
says(
    "systemd-logind",
    "New session 'c2' of user 'lan' with class 'user' and type 'tty'.",
    "session_open",
    S,
    user="lan",
    session="c2",
)
says("systemd-logind", "Removed session 3.", "session_close", S, session="3")
says("systemd-logind", "Session 3 logged out. Waiting for processes to exit.", "other", session="3")
says("systemd-logind", "System is rebooting.", "shutdown")
says("systemd-logind", "Watching system buttons on /dev/input/event0", "other")


@pytest.mark.parametrize(("program", "message", "wanted"), LINES, ids=[f"{one[0]}: {one[1][:60]}" for one in LINES])
def test_lines(program: str, message: str, wanted: dict[str, Any]) -> None:
    found = parse(program, message)
    assert {name: value for name, value in found.items() if value not in ("", None)} == {
        name: value for name, value in wanted.items() if value != ""
    }


def test_a_hostile_name_takes_no_more_time_than_its_length() -> None:
    for piece in (" from 1.2.3.4 port 2", " ; USER=x", "x rhost=y  user=", "' '", "() CMD (", " from " * 3):
        for program in ("sshd", "sudo", "su", "login", "CRON", "polkitd", "useradd", "systemd-logind"):
            for start in (
                "Failed password for ",
                "Disconnected from user ",
                "lan : PWD=",
                "pam_unix(sshd:auth): ",
                "(x) CMD (",
            ):
                assert parse(program, start + piece * (8192 // len(piece)))["event_action"]
