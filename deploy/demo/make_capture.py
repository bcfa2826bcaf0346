"""The story as a capture file, for users who may not make namespaces: the same scripts, as packets by scapy.

    python -m deploy.demo.make_capture FILE

No process runs in a file, so the reverse shell is there as a connection only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from deploy.demo import scripts, story
from deploy.demo.namespaces import BLUE, RED, WORLD
from deploy.demo.scripts import CLIENT, Script

LENGTH_S = 40.0
_SEGMENT = 1400
_HALF_RTT_S = 0.000_2
_MACS = {BLUE: "02:00:0a:4d:00:0a", RED: "02:00:cb:00:71:42", WORLD: "02:00:c6:33:64:07"}
Host = tuple[str, str]


@dataclass
class Recorder:
    """Collects packets with their times; conversations may overlap."""

    rng: Random
    packets: list[tuple[float, Packet]] = field(default_factory=list)

    def tcp(self, at: float, client: Host, server: Host, port: int, script: Script, *, ipv6: bool = False) -> None:
        """A connection that opens, plays `script` and closes in order."""
        ends = (client, server)
        ports = (self.rng.randrange(32768, 60999), port)
        next_sequence = [self.rng.randrange(1 << 32), self.rng.randrange(1 << 32)]

        def say(speaker: int, flags: str, data: bytes = b"") -> None:
            nonlocal at
            other = 1 - speaker
            segment = TCP(
                sport=ports[speaker], dport=ports[other], flags=flags, window=64240, seq=next_sequence[speaker],
                ack=next_sequence[other] if "A" in flags else 0,
            )  # fmt: skip
            self._add(at, ends[speaker], ends[other], segment / Raw(data) if data else segment, ipv6)
            length = len(data) + ("S" in flags) + ("F" in flags)
            next_sequence[speaker] = (next_sequence[speaker] + length) % (1 << 32)
            at += _HALF_RTT_S

        say(0, "S")
        say(1, "SA")
        say(0, "A")
        for who, data in script:
            speaker = 0 if who is CLIENT else 1
            for begin in range(0, len(data), _SEGMENT):
                say(speaker, "PA", data[begin : begin + _SEGMENT])
            say(1 - speaker, "A")
        say(0, "FA")
        say(1, "FA")
        say(0, "A")

    def refused(self, at: float, client: Host, server: Host, port: int) -> None:
        """A SYN to a closed port, and its RST."""
        mine, sequence = self.rng.randrange(32768, 60999), self.rng.randrange(1 << 32)
        self._add(at, client, server, TCP(sport=mine, dport=port, flags="S", seq=sequence), ipv6=False)
        reset = TCP(sport=port, dport=mine, flags="RA", seq=0, ack=(sequence + 1) % (1 << 32), window=0)
        self._add(at + _HALF_RTT_S, server, client, reset, ipv6=False)

    def lookup(self, at: float, client: Host, server: Host, question: bytes, answer: bytes) -> None:
        """A DNS question over UDP and its answer 3 ms later."""
        mine = self.rng.randrange(32768, 60999)
        self._add(at, client, server, UDP(sport=mine, dport=53) / Raw(question), ipv6=False)
        self._add(at + 0.003, server, client, UDP(sport=53, dport=mine) / Raw(answer), ipv6=False)

    def _add(self, at: float, sender: Host, receiver: Host, payload: Packet, ipv6: bool) -> None:
        network = IPv6(src=sender[1], dst=receiver[1]) if ipv6 else IP(src=sender[0], dst=receiver[0], ttl=62)
        self.packets.append((at, Ether(src=_MACS[sender], dst=_MACS[receiver]) / network / payload))

    def write(self, path: Path) -> int:
        """Write the packets in order of time as a pcap file; how many there are."""
        self.packets.sort(key=lambda one: one[0])
        for at, packet in self.packets:
            packet.time = at
        wrpcap(str(path), [packet for _, packet in self.packets])
        return len(self.packets)


def make(path: Path, begin: float, rng: Random) -> int:
    """Write the whole story to `path`, from `begin` (seconds since 1970) on for `LENGTH_S`; the number of packets."""
    recorder = Recorder(rng)
    with tempfile.TemporaryDirectory() as folder:
        ends = scripts.tls_ends(Path(folder))
    _everyday(recorder, begin, ends)
    for number, port in enumerate(sorted({*story.SCANNED_PORTS, 22, 80})):
        if port in (22, 80):
            recorder.tcp(begin + 14 + number * 0.01, RED, BLUE, port, ())
        else:
            recorder.refused(begin + 14 + number * 0.01, RED, BLUE, port)
    for number in range(story.GUESSES):
        guess = scripts.ssh(rng, accepted=False, client="libssh2_1.10.0")
        recorder.tcp(begin + 16 + number * 0.4, RED, BLUE, 22, guess)
    said = [(not CLIENT, b"id\n"), (CLIENT, b"uid=33(www-data) gid=33(www-data) groups=33(www-data)\n")]
    recorder.tcp(begin + 23, BLUE, RED, story.SHELL_PORT, said)
    for beat in range(story.BEATS):
        call = scripts.tls(ends, scripts.BEACON_NAME, b"POST /v1/sync HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 \r\n\r\n")
        recorder.tcp(begin + 24 + beat * story.BEAT_S + rng.uniform(0, 0.03), BLUE, RED, 443, call)
    for number, (question, answer) in enumerate(scripts.tunnel_lookups(rng, story.TUNNEL_QUESTIONS)):
        recorder.lookup(begin + 25 + number * 0.1, BLUE, RED, question, answer)
    return recorder.write(path)


def _everyday(recorder: Recorder, begin: float, ends: scripts.TlsEnds) -> None:
    rng = recorder.rng
    for question, answer in scripts.everyday_lookups(rng, 30):
        recorder.lookup(begin + rng.uniform(0, LENGTH_S - 1), BLUE, WORLD, question, answer)
    for number in range(12):
        at = begin + rng.uniform(0, LENGTH_S - 1)
        recorder.tcp(at, WORLD, BLUE, 80, scripts.http(rng, f"/news/{number}"), ipv6=number % 3 == 0)
    for name in scripts.EVERYDAY_NAMES[:3]:
        page = scripts.tls(ends, name, b"GET / HTTP/1.1\r\n\r\n", bytes(2000))
        recorder.tcp(begin + rng.uniform(0, LENGTH_S - 1), BLUE, WORLD, 443, page)
    recorder.tcp(begin + 2, WORLD, BLUE, 22, scripts.ssh(rng, accepted=True))


def main() -> int:
    """Write the story, ending now, to the file named on the command line."""
    if len(sys.argv) != 2:
        print("usage: python -m deploy.demo.make_capture FILE", file=sys.stderr)
        return 2
    print(make(Path(sys.argv[1]), time.time() - LENGTH_S, Random(20261123)), "packets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
