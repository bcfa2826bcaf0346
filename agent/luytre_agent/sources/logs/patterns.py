r"""What programs write about logins, sessions and accounts: tables to be read, one line per kind of message.

A pattern holds for a whole message, from its first character to its last. Names come from the network and may say
anything (`x from 192.0.2.1 port 22 ssh2`), so where one stands before the true address, the name takes all it can and
the address is the last one; what could be read in two ways is left out.
"""

# ruff: noqa: E501  (a message per line)

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """A message, and what it means. Groups of the expression are columns by `parse.COLUMNS`."""

    expression: re.Pattern[str]
    action: str
    outcome: str = ""
    method: str = ""


def _p(expression: str, action: str, outcome: str = "", method: str = "") -> Pattern:
    return Pattern(re.compile(expression, re.DOTALL), action, outcome, method)


_FROM = r"from (?P<ip>\S+) port (?P<port>\d{1,5})"
_WHO = r"(?:(?:invalid|illegal|authenticating) user |user )?"
#: A certificate's id is chosen by whoever made it: no second address may stand in such a line.
_NO_FROM = r"(?:(?! from \S+ port \d).)*"

SSHD = (
    _p(rf"Accepted (?P<method>\S+) for (?P<user>.*) {_FROM}(?: ssh2)?(?:: [\w-]+ (?P<key>\S+))?", "login", "success"),
    _p(rf"Accepted (?P<method>\S+) for (?P<user>{_NO_FROM}) {_FROM} ssh2: [\w-]+ (?P<key>\S+) ID {_NO_FROM}", "login", "success"),
    _p(rf"Accepted (?P<method>gssapi\S*) for (?P<user>{_NO_FROM}) {_FROM} ssh2: \S+", "login", "success"),
    _p(r"Accepted (?P<method>\S+) for .*", "login", "success"),
    _p(rf"(?:error: )?maximum authentication attempts exceeded for {_WHO}(?P<user>.*) {_FROM}(?: ssh2)?(?: \[preauth\])?", "login", "failure"),
    _p(rf"Failed (?P<method>\S+) for {_WHO}(?P<user>.*) {_FROM}(?: ssh2)?(?:: [\w-]+ (?P<key>\S+))?", "login", "failure"),
    _p(rf"Failed (?P<method>\S+) for {_WHO}(?P<user>{_NO_FROM}) {_FROM} ssh2: [\w-]+ (?P<key>\S+) ID {_NO_FROM}", "login", "failure"),
    _p(r"Failed (?P<method>\S+) for .*", "login", "failure"),
    _p(rf"Postponed (?P<method>\S+) for {_WHO}(?P<user>.*) {_FROM}(?: ssh2)?(?: \[preauth\])?", "other"),
    _p(rf"(?:Invalid|Illegal) user (?P<user>.*) {_FROM}(?: \[preauth\])?", "login", "failure"),
    _p(r"(?:Invalid|Illegal) user (?P<user>.*) from (?P<ip>\S+)", "login", "failure"),
    _p(r"User (?P<user>.*) from (?P<ip>\S+) not allowed because .*", "login", "failure"),
    _p(r"ROOT LOGIN REFUSED FROM (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?", "login", "failure"),
    _p(r"Disconnected from user (?P<user>.*) (?P<ip>\S+) port (?P<port>\d{1,5})", "logout", "success"),
    _p(
        r"(?:Connection (?:closed|reset) by|Disconnected from|Disconnecting|Connection from) "
        r"(?:(?:invalid|authenticating) user (?P<user>.*) )?(?P<ip>\S+) port (?P<port>\d{1,5})(?: \[preauth\])?",
        "other",
    ),
    _p(
        r"Disconnecting (?:invalid|authenticating) user (?P<user>.*) (?P<ip>\S+) port (?P<port>\d{1,5}): "
        r"(?:Too many authentication failures|Change of username or service not allowed: .*)(?: \[preauth\])?",
        "other", "failure",
    ),
    _p(r"Received disconnect from (?P<ip>\S+?)(?: port (?P<port>\d{1,5}))?: ?\d+: .*", "other"),
)  # fmt: skip

SUDO = (
    # What a folder or an argument is called may look like the rest of the line: two commands are none.
    _p(
        r" *(?P<user>[^\s:]+) : (?:(?P<why>[^;=]+?) ; )?(?:HOST=\S+ ; )?(?:TTY=(?P<tty>\S+) ; )?(?:CHROOT=\S+ ; )?"
        r"PWD=(?:(?! ; (?:USER|COMMAND)=).)* ; USER=(?P<target>[^\s;]+) ; (?:(?:GROUP|TSID|ENV)=[^;]* ; )*"
        r"COMMAND=(?P<command>(?:(?! ; (?:USER|COMMAND)=).)*)",
        "sudo",
    ),
    _p(r" *(?P<user>[^\s:]+) : (?:(?P<why>[^;=]+?) ; )?(?:HOST=\S+ ; )?(?:TTY=(?P<tty>\S+) ; )?PWD=.* ; COMMAND=.*", "sudo"),
    _p(r" *(?P<user>[^\s:]+) : \(command continued\) (?P<command>.*)", "sudo"),
)  # fmt: skip

SU = (
    _p(r"\(to (?P<target>[^\s()]+)\) (?P<user>\S+) on (?P<tty>\S+)", "su", "success"),
    _p(r"FAILED SU \(to (?P<target>[^\s()]+)\) (?P<user>\S+) on (?P<tty>\S+)", "su", "failure"),
    _p(r"Successful su for (?P<target>\S+) by (?P<user>\S+)", "su", "success"),
    _p(r"FAILED su for (?P<target>\S+) by (?P<user>\S+)", "su", "failure"),
    _p(r"\+ (?P<tty>\S+) (?P<user>[^\s:]+):(?P<target>\S+)", "su", "success"),
    _p(r"- (?P<tty>\S+) (?P<user>[^\s:]+):(?P<target>\S+)", "su", "failure"),
)

LOGIN = (
    _p(r"(?:DIALUP AT (?P<tty>\S+) BY|LOGIN ON (?P<line>\S+) BY) (?P<user>\S+)(?: FROM (?P<ip>\S+))?", "login", "success", "password"),
    _p(r"ROOT LOGIN +(?:ON|on) '?(?P<tty>[^\s']+)'?(?: (?:FROM|from) '?(?P<ip>[^\s']+)'?)?", "login", "success", "password"),
    _p(r"FAILED LOGIN \(\d+\) on '(?P<tty>[^']+)'(?: from '(?P<ip>[^']+)')? FOR '(?P<user>.*)', .*", "login", "failure", "password"),
    _p(r"FAILED LOGIN (?:\d+|SESSION) FROM (?P<ip>\S+) FOR (?P<user>.*), [^,]*", "login", "failure", "password"),
    _p(r"TOO MANY LOGIN TRIES \(\d+\) FROM (?P<ip>\S+) FOR (?P<user>.*), [^,]*", "login", "failure", "password"),
)  # fmt: skip

CRON = (
    _p(r"\((?P<user>[^()\s]+)\) CMD \( *(?P<command>.*?) *\)", "cron", "success"),
    _p(r"\((?P<user>[^()\s]+)\) (?:BEGIN EDIT|END EDIT|REPLACE|LIST|DELETE) \((?P<target>[^()\s]+)\)", "cron"),
    _p(
        r"\((?P<user>[^()\s]+)\) (?:RELOAD|CMDEND|CMDOUT|WRONG FILE OWNER|INSECURE MODE .*|AUTH|ERROR|FAILED.*) \(.*\)",
        "other",
    ),
)

_OWNED = r".*\(owned by unix-user:(?P<user>[^()\s]+)\)"
POLKIT = (
    _p(rf"Operator of unix-session:(?P<session>\S+) successfully authenticated as unix-user:(?P<target>\S+) to gain {_OWNED}", "polkit", "success"),
    _p(rf"Operator of unix-session:(?P<session>\S+) FAILED to authenticate to gain {_OWNED}", "polkit", "failure"),
    _p(rf"Operator of unix-process:\S+ successfully authenticated as unix-user:(?P<target>\S+) to gain {_OWNED}", "polkit", "success"),
    _p(r"(?:Unr|R)egistered Authentication Agent for unix-session:(?P<session>\S+) .*", "other"),
    _p(r"(?P<user>[^\s:]+): Executing command \[USER=(?P<target>[^\]\s]+)\] \[TTY=(?P<tty>[^\]\s]+)\] \[CWD=[^\]]*\] \[COMMAND=(?P<command>.*)\]", "polkit", "success"),
    _p(r"(?P<user>[^\s:]+): Error executing command as another user: .* \[USER=(?P<target>[^\]\s]+)\] \[TTY=(?P<tty>[^\]\s]+)\] \[CWD=[^\]]*\] \[COMMAND=(?P<command>.*)\]", "polkit", "failure"),
)  # fmt: skip

_U = r"'(?P<target>[^']*)'"
ACCOUNTS = (
    _p(r"new user: name=(?P<target>[^,]+), UID=.*", "user_added", "success"),
    _p(rf"failed adding user {_U}.*", "user_added", "failure"),
    _p(r"(?:new group|group added to \S+): name=(?P<target>[^,\s]+).*", "group_added", "success"),
    _p(rf"delete user {_U}", "user_removed", "success"),
    _p(rf"removed (?:shadow )?group {_U} owned by '[^']*'", "group_removed", "success"),
    _p(rf"group {_U} removed(?: from \S+)?", "group_removed", "success"),
    _p(rf"(?:add|delete) {_U} (?:to|from) (?:shadow )?group '[^']*'", "user_changed", "success"),
    _p(rf"change user {_U} password", "password_changed", "success"),
    _p(rf"(?:change user(?: name)?|lock user|unlock user|expire user) {_U}.*", "user_changed", "success"),
    _p(r"group changed in \S+ \(group (?P<target>[^/,\s]+).*\)", "group_changed", "success"),
    _p(rf"(?:failed to (?:change|rename)|change|rename) group (?:name )?{_U}.*", "group_changed"),
    _p(rf"password for {_U} changed by '(?P<user>[^']*)'", "password_changed", "success"),
    _p(r"changed password expiry for (?P<target>\S+)", "user_changed", "success"),
    _p(rf"changed user {_U} (?:shell|information).*", "user_changed", "success"),
    _p(r"user (?P<target>\S+) (?:added|removed) by (?P<user>\S+) (?:to|from) group \S+", "user_changed", "success"),
    _p(r"(?:members|administrators) of group (?P<target>\S+) set by (?P<user>\S+) to .*", "group_changed", "success"),
)

LOGIND = (
    _p(r"New session '?(?P<session>[^\s'.]+)'? of user '?(?P<user>[^\s']+?)'?(?: with class .*)?\.", "session_open", "success"),
    _p(r"Removed session '?(?P<session>[^\s'.]+)'?\.", "session_close", "success"),
    _p(r"Session '?(?P<session>[^\s'.]+)'? logged out\. .*", "other"),
    _p(r"(?:System is (?:rebooting|powering down|halting)|The system will .*)\b.*", "shutdown"),
)  # fmt: skip

#: `by (uid=0)`, `by lan(uid=1000)`, and before Linux-PAM 1.4 no uid of the target.
PAM = (
    _p(r"session opened for user (?P<target>[^\s()]+)(?:\(uid=\d+\))? by (?P<user>[^\s()]*)\(uid=\d+\)", "session_open", "success"),
    _p(r"session closed for user (?P<target>[^\s()]+)", "session_close", "success"),
    _p(
        r"authentication failure; logname=(?P<user>\S*) uid=\d+ euid=\d+ tty=(?P<tty>\S*) ruser=(?P<ruser>\S*) rhost=(?P<ip>\S*)"
        r"(?: +user=(?P<target>.*))?",
        "authentication", "failure", "password",
    ),
    _p(r"authentication success; logname=\S* uid=\d+ euid=\d+ tty=(?P<tty>\S*) ruser=\S* rhost=(?P<ip>\S*) +user=(?P<target>.*)", "other", "success"),
    _p(r"Consecutive login failures for user (?P<target>\S+) account temporarily locked", "other", "failure"),
    _p(r"(?P<more>\d+) more authentication failures?; .*", "authentication", "failure", "password"),
    _p(r"password changed for (?P<target>\S+)", "password_changed", "success"),
    _p(r"(?:auth could not identify password for|conversation failed|check pass; user unknown).*", "other"),
    _p(r"account (?P<target>\S+) has (?:expired|password changed in future).*", "other", "failure"),
)  # fmt: skip

#: A line of a PAM module inside the program that uses it: `pam_unix(sshd:auth): ...`.
PAM_LINE = re.compile(r"pam_[a-z0-9_]+\((?P<service>[\w.+-]+):(?P<kind>[a-z]+)\): (?P<message>.*)", re.DOTALL)

_SHADOW = (
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
    "groupmod",
    "groupdel",
    "passwd",
    "chpasswd",
    "gpasswd",
    "chage",
)

#: By the program's tag. Only the patterns of the program that wrote a line are tried.
PROGRAMS: dict[str, tuple[Pattern, ...]] = {
    **dict.fromkeys(("sshd", "sshd-session", "sshd-auth"), SSHD),
    "sudo": SUDO,
    "su": SU,
    "login": LOGIN,
    **dict.fromkeys(("CRON", "cron", "crond", "CROND", "crontab", "anacron"), CRON),
    **dict.fromkeys(("polkitd", "polkit-agent-helper-1", "pkexec"), POLKIT),
    **dict.fromkeys((*_SHADOW, "chfn", "chsh", "newusers"), ACCOUNTS),
    **dict.fromkeys(("systemd-logind", "elogind", "elogind-daemon"), LOGIND),
}
