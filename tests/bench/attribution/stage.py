"""Where the conversations take place: red and blue on one wire, and behind blue, as a container would be, box.

Blue passes on what box says. There are no translations until a case asks for some.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.namespaces import Pair, Side, inside, pair

#: RFC 5737: documentation.
BOX_IP, GATE_IP = "192.0.2.2", "192.0.2.1"
#: Nobody has it; red sends what is for it to blue.
VIRTUAL_IP = "198.51.100.80"


@dataclass(frozen=True, slots=True)
class Stage:
    """The namespaces. `gate` is blue's end of the wire to box."""

    red: Side
    #: Red under another address.
    world: Side
    blue: Side
    gate: Side
    box: Side

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Where packets can be seen: interface and namespace, by the name that a case gives."""
        sides = {"red": self.red, "blue": self.blue, "gate": self.gate, "box": self.box}
        wires = {name: (side.interface, side.namespace) for name, side in sides.items()}
        return wires | {"red-lo": ("lo", self.red.namespace), "blue-lo": ("lo", self.blue.namespace)}

    def watched(self) -> None:
        """Say that what is older than the agent is there; wait until the agent watches."""
        print("ready", flush=True)
        sys.stdin.readline()


@contextmanager
def stage() -> Iterator[Stage]:
    """Make the namespaces; remove them on the way out."""
    with pair() as ends:
        box = Side(ends.blue.namespace.replace("-blue-", "-box-"), "eth0", BOX_IP, "")
        gate = Side(ends.blue.namespace, "gate0", GATE_IP, "")
        _ip("netns", "add", box.namespace)
        try:
            yield _joined(ends, gate, box)
        finally:
            _ip("netns", "delete", box.namespace)


def _joined(ends: Pair, gate: Side, box: Side) -> Stage:
    _ip("link", "add", gate.interface, "netns", gate.namespace, "type", "veth",
        "peer", "name", box.interface, "netns", box.namespace)  # fmt: skip
    for side in (gate, box):
        _ip("-n", side.namespace, "address", "add", f"{side.ipv4}/24", "dev", side.interface)
        _ip("-n", side.namespace, "link", "set", side.interface, "up")
    _ip("-n", box.namespace, "link", "set", "lo", "up")
    _ip("-n", box.namespace, "route", "add", "default", "via", gate.ipv4)
    _ip("-n", ends.red.namespace, "route", "add", f"{VIRTUAL_IP}/32", "dev", ends.red.interface)
    with inside(gate.namespace):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    return Stage(ends.red, ends.world, ends.blue, gate, box)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)
