"""Every flow with its process, in network namespaces with real processes: each case of the benchmark, in small."""

from __future__ import annotations

import pytest

from tests.bench import bench_attribution
from tests.bench.attribution.cases import CASES

pytestmark = pytest.mark.root


@pytest.mark.parametrize("case", CASES)
def test_every_flow_has_its_process(case: str) -> None:
    score, watch = bench_attribution.run(case, 12)
    assert score.flows >= 12
    assert score.good, (score, watch.sources["sockets"].counters())
    counters = watch.sources["sockets"].counters()
    assert counters["flows_attributed"] >= score.right
    assert counters["lost"] == counters["malformed"] == counters["nat_refused"] == counters["nat_malformed"] == 0
    if case.startswith("nat_"):
        assert counters["flows_translated"] >= score.flows / 4
        assert counters["nat_learnt"] == counters["nat_known"] >= 12
        assert counters["nat_dumps"] >= 1
        methods = {row["attribution_method"] for rows in watch.rows.values() for row in rows if row["table"] == "flows"}
        assert "ebpf+conntrack" in methods
    else:
        assert counters["nat_learnt"] == counters["nat_dumps"] == 0, "where nothing is tracked nothing is asked for"
