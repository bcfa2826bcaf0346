"""The process source under a storm: a live consumer misses nothing; what one that stalled did not see is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from luytre_agent.sources.processes import Config
from luytre_common.errors import Unavailable

from tests.bench import bench_storm
from tests.bench.storm import build

COUNT = 1500

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The helper that makes storms."""
    try:
        return build(tmp_path_factory.mktemp("storm"))
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def programs() -> None:
    """Without clang at build time, or without BTF in this kernel, there is no eBPF to test."""
    try:
        with bench_storm.watching(Config(rung="ebpf", seed=False)):
            pass
    except Unavailable as error:
        if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
            pytest.skip(error.reason)
        raise


@pytest.mark.parametrize("rung", ["ebpf", "audit"])
def test_every_process_is_seen_with_its_arguments_and_its_end(program: Path, rung: Literal["ebpf", "audit"]) -> None:
    _, seen = bench_storm.live(program, Config(rung=rung, seed=False), COUNT, 0)
    assert (seen.lost, seen.doubled) == (0, 0)
    assert (seen.execs, seen.arguments_right, seen.exits, seen.exit_codes_right) == (COUNT,) * 4


def test_what_a_stalled_consumer_did_not_see_is_counted(program: Path) -> None:
    stalled = bench_storm.stalled(program, Config(rung="ebpf", seed=False, ring_bytes=1 << 16), COUNT, 0)
    assert stalled.there_were >= 3 * COUNT
    assert stalled.lost > COUNT
    assert stalled.seen + stalled.lost == stalled.there_were
