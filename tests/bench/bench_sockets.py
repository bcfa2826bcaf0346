"""All sockets of a host to columns: the core beside pyroute2, `ss -tan` and a bare read of what the kernel dumps.

python -m tests.bench.bench_sockets [--count N] [--rounds N]

Makes N TCP connections on loopback in a network namespace of its own (2 N sockets), and asks for all sockets again and
again. Ratios are to the bare read: the kernel's own time, and no parsing. CPU of this process, or of `ss`. Needs root.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from luytre_agent import _core
from pyroute2 import DiagSocket

from deploy.demo.namespaces import inside, pair

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _DUMP = 4, 20, 0x301
_INFO, _HELD = 1 << 1, 0xFB6
#: Family and protocol of what the core asks for too.
_KINDS = [(family, protocol) for protocol in (6, 17) for family in (socket.AF_INET, socket.AF_INET6)]


@contextmanager
def connections(count: int) -> Iterator[None]:
    """So many connections on loopback, from several addresses; both ends are ours."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count + 1024), hard))
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        held: list[socket.socket] = []
        for number in range(count):
            client = socket.create_connection(server.getsockname(), source_address=(f"127.0.1.{number % 250 + 1}", 0))
            held += [client, server.accept()[0]]
        yield
        for one in held:
            one.close()


def bare() -> int:
    """Ask for everything and throw it away: bytes that came."""
    total = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        for family, protocol in _KINDS:
            extension = _INFO if protocol == 6 else 0
            body = struct.pack("=BBBxI48x", family, protocol, extension, _HELD)
            netlink.send(struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body)
            while True:
                data = netlink.recv(65_536)
                total += len(data)
                if struct.unpack_from("=H", data, 4)[0] in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
                    break
    return total


def peer() -> int:
    """pyroute2: sockets that came."""
    with DiagSocket() as diag:
        return sum(
            len(diag.get_sock_stats(family=family, protocol=protocol, states=_HELD, extensions=_INFO))
            for family, protocol in _KINDS
        )


def listed() -> int:
    """`ss`, names and processes not looked up: lines."""
    said = subprocess.run(["ss", "-tan"], capture_output=True, check=True)
    return said.stdout.count(b"\n")


def measured(job: Callable[[], object], rounds: int) -> float:
    """CPU seconds of a round, children included; the least of all rounds."""
    taken = []
    for _ in range(rounds):
        before = _cpu()
        job()
        taken.append(_cpu() - before)
    return min(taken)


def _cpu() -> float:
    """CPU seconds so far, ours and of ended children; os.times() would only count in clock ticks."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def looks(rounds: int) -> tuple[float, float, int]:
    """The rung itself: seconds of a dump with its parsing, of a walk over all descriptors, and the sockets it knows."""
    events = _core.SocketEvents("sock_diag", _core.Owners(), poll_seconds=0.05)
    deadline = time.monotonic() + 60
    while events.counters()["dumps"] < rounds and time.monotonic() < deadline:
        events.poll(0.1)
    counters = events.counters()
    events.close()
    dump = counters["dump_microseconds"] / counters["dumps"] / 1e6
    return dump, counters["walk_microseconds"] / counters["walks"] / 1e6, counters["sockets_known"]


def main() -> int:
    """Run it; 0 if everybody saw all sockets."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_sockets", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="connections (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the quickest counts (default: %(default)s)")
    arguments = parser.parse_args()
    with pair() as ends, inside(ends.blue.namespace), connections(arguments.count):
        seen = 2 * arguments.count
        jobs: dict[str, Callable[[], int]] = {"bare read": bare, "pyroute2": peer}
        if shutil.which("ss"):
            jobs["ss -tan"] = listed
        floor = 0.0
        print(f"{seen} sockets")
        for name, job in jobs.items():
            took = measured(job, arguments.rounds)
            floor = floor or took
            print(f"{name:32} {1e3 * took:9.1f} ms {took / floor:7.1f} x", flush=True)
        dump, walk, known = looks(arguments.rounds)
        print(f"{'luytre, parsed, all namespaces':32} {1e3 * dump:9.1f} ms {dump / floor:7.1f} x (wall)")
        print(f"{'luytre, who holds them':32} {1e3 * walk:9.1f} ms {walk / floor:7.1f} x (wall)")
        if known < seen or peer() < seen:
            print(f"not all were seen: {known}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
