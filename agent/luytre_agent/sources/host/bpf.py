"""The BPF programs in the kernel, by bpf(2). Layout of the arguments: linux/bpf.h, union bpf_attr, bpf_prog_info."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

from luytre_agent.sources.host.things import Facts, text

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_GET_NEXT_ID, _FD_BY_ID, _INFO_BY_FD = 11, 13, 15
_MAX_PROGRAMS = 10_000
_INFO_BYTES = 80
_TYPES = {
    1: "socket_filter", 2: "kprobe", 3: "sched_cls", 4: "sched_act", 5: "tracepoint", 6: "xdp", 7: "perf_event",
    8: "cgroup_skb", 9: "cgroup_sock", 13: "sock_ops", 14: "sk_skb", 15: "cgroup_device", 16: "sk_msg",
    17: "raw_tracepoint", 18: "cgroup_sock_addr", 22: "flow_dissector", 23: "cgroup_sysctl", 25: "cgroup_sockopt",
    26: "tracing", 27: "struct_ops", 28: "ext", 29: "lsm", 30: "sk_lookup", 31: "syscall", 32: "netfilter",
}  # fmt: skip


def _bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"the number of bpf(2) on {platform.machine()} is not known here")
    answer = int(ctypes.CDLL(None, use_errno=True).syscall(number, command, attributes, len(attributes)))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def program(info: bytes) -> tuple[str, Facts]:
    """Name and facts out of a bpf_prog_info."""
    kind, _, tag = struct.unpack_from("=II8s", info)
    (uid,) = struct.unpack_from("=I", info, 48)
    name = text(info[64:80].split(b"\0", 1)[0])
    return f"{name or 'unnamed'} {tag.hex()}", {"type": _TYPES.get(kind, str(kind)), "uid": str(uid), "name": name}


def read() -> dict[str, Facts]:
    """Every program but our own, by name and tag (hash of its instructions); `count` of those that are the same.

    PermissionError without CAP_SYS_ADMIN.
    """
    ours = _ours()
    found: dict[str, Facts] = {}
    counts: dict[str, int] = {}
    last = 0
    for _ in range(_MAX_PROGRAMS):
        attributes = ctypes.create_string_buffer(struct.pack("=II", last, 0), 128)
        try:
            _bpf(_GET_NEXT_ID, attributes)
        except FileNotFoundError:
            break
        (last,) = struct.unpack_from("=I", attributes.raw, 4)
        info = _info(last) if last not in ours else None
        if info is not None:
            name, facts = program(info)
            counts[name] = counts.get(name, 0) + 1
            found[name] = {**facts, "count": str(counts[name])}
    return found


def _ours() -> set[int]:
    """The ids of the programs that this process holds: each start of the agent would be news otherwise."""
    found: set[int] = set()
    for path in list(Path("/proc/self/fdinfo").iterdir()):
        try:
            lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:  # closed meanwhile
            continue
        found.update(int(line.split()[1]) for line in lines if line.startswith("prog_id:"))
    return found


def _info(program_id: int) -> bytes | None:
    try:
        descriptor = _bpf(_FD_BY_ID, ctypes.create_string_buffer(struct.pack("=I", program_id), 128))
    except FileNotFoundError:
        return None  # it went away
    try:
        info = ctypes.create_string_buffer(_INFO_BYTES)
        wanted = struct.pack("=IIQ", descriptor, _INFO_BYTES, ctypes.addressof(info))
        _bpf(_INFO_BY_FD, ctypes.create_string_buffer(wanted, 128))
        return info.raw
    finally:
        os.close(descriptor)
