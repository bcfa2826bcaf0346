"""Every flow with its process, in two network namespaces with real processes: each case of the benchmark, in small."""

from __future__ import annotations

import pytest

from tests.bench import bench_attribution
from tests.bench.attribution_load import CASES

pytestmark = pytest.mark.root


@pytest.mark.parametrize("case", CASES)
def test_every_flow_has_its_process(case: str) -> None:
    score, watch = bench_attribution.run(case, 12)
    assert score.flows >= 12
    assert (score.right, score.wrong, score.none, score.unseen) == (score.flows, 0, 0, 0), score.examples
    counters = watch.sources["sockets"].counters()
    assert counters["flows_attributed"] >= score.flows
    assert counters["lost"] == counters["malformed"] == 0
