"""The kernel's audit subsystem, asked and set as auditctl(8) and auditd(8) do it: linux/audit.h."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

NETLINK_AUDIT = 9
ERROR, DONE = 2, 3
GET, SET, ADD_RULE, DEL_RULE, LIST_RULES = 1000, 1001, 1011, 1012, 1013
REQUEST_ACK = 5
#: Bits of what AUDIT_SET sets.
BITS = {"enabled": 1, "owner": 4}
#: Words of struct audit_status.
SETTINGS = {"enabled": 1, "failure": 2, "owner": 3, "rate_limit": 4, "backlog_limit": 5, "backlog_wait_time": 9}
FILTER_TASK, FILTER_EXIT, NEVER, ALWAYS = 1, 4, 0, 2
ARCH, EQUAL = 11, 0x40000000
#: execve(2) of 64-bit programs.
EXECVE = {"x86_64": (0xC000003E, 59), "aarch64": (0xC00000B7, 221)}


class Audit:
    """A socket for requests."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
        self._socket.bind((0, 0))
        self._socket.settimeout(5)
        self._sequence = 0

    def close(self) -> None:
        """An owner of audit that closes its socket is one no longer."""
        self._socket.close()

    def settings(self) -> dict[str, int]:
        """What is set."""
        (body,) = [body for kind, body in self._ask(GET) if kind == GET]
        words = struct.unpack(f"={len(body) // 4}I", body)
        return {name: words[at] for name, at in SETTINGS.items()}

    def rules(self) -> list[bytes]:
        """struct audit_rule_data of every rule."""
        return [body for kind, body in self._ask(LIST_RULES) if kind == LIST_RULES]

    def set(self, name: str, value: int) -> None:
        """Set "enabled" or "owner": the pid of this process, or 0."""
        words = [0] * 10
        words[0], words[SETTINGS[name]] = BITS[name], value
        self._ask(SET, struct.pack("=10I", *words))

    @contextmanager
    def rule(self, rule: bytes) -> Iterator[None]:
        """With a rule more."""
        self._ask(ADD_RULE, rule)
        try:
            yield
        finally:
            self._ask(DEL_RULE, rule)

    def _ask(self, kind: int, body: bytes = b"") -> list[tuple[int, bytes]]:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, REQUEST_ACK, self._sequence, 0)
        self._socket.sendto(header + body, (0, 0))
        last = {GET: GET, LIST_RULES: DONE}.get(kind)
        answers: list[tuple[int, bytes]] = []
        acknowledged = False
        while not acknowledged or (last is not None and last not in [kind for kind, _ in answers]):
            message = self._socket.recv(65536)
            _, found, _, sequence, _ = struct.unpack_from("=IHHII", message)
            if sequence != self._sequence:
                continue
            if found == ERROR:
                (code,) = struct.unpack_from("=i", message, 16)
                if code:
                    raise OSError(-code, os.strerror(-code))
                acknowledged = True
            else:
                answers.append((found, message[16:]))
        return answers


def execs() -> bytes:
    """The rule that audits every execve(2)."""
    arch, call = EXECVE[os.uname().machine]
    return _rule(FILTER_EXIT, ALWAYS, [call], [(ARCH, arch)])


def never() -> bytes:
    """The rule that keeps new processes from being audited at all."""
    return _rule(FILTER_TASK, NEVER, [], [])


def _rule(kind: int, action: int, calls: list[int], fields: list[tuple[int, int]]) -> bytes:
    mask = [0] * 64
    for call in calls:
        mask[call // 32] |= 1 << call % 32
    if not calls:
        mask = [0xFFFFFFFF] * 64
    empty = [0] * (64 - len(fields))
    numbers, values = [field for field, _ in fields] + empty, [value for _, value in fields] + empty
    operators = [EQUAL] * len(fields) + empty
    return struct.pack("=260I", kind, action, len(fields), *mask, *numbers, *values, *operators, 0)
