"""The bench measures what it says only if its capture is what it says."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from random import Random

from luytre_agent import _core

from tests.bench.make_capture import cached, make, plans


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        path = tmp_path / f"{name}.pcap"
        make(path, packets=4_000, seed=7)
        digests.add(hashlib.sha256(path.read_bytes()).digest())
    assert len(digests) == 1


def test_counts_are_exact(tmp_path: Path) -> None:
    path = cached(tmp_path, packets=10_000)
    packets, _ = _core.read_only_count(str(path))
    assert packets == 10_000
    assert cached(tmp_path, packets=10_000) == path


def test_shares_of_flows() -> None:
    flows = plans(Random(1), 40_000)
    kinds = Counter(plan.kind for plan in flows)
    assert sum(plan.packets for plan in flows) == 40_000
    assert kinds == {"tls": 840, "dns": 640, "http": 160, "tcp": 120, "quic": 100, "scan": 100, "refused": 40}
