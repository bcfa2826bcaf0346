"""Every flow with its process, in network namespaces with real processes: each case of the benchmark, in small."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources.sockets import LADDER

from deploy.demo.namespaces import inside
from tests.bench.attribution import translations
from tests.bench.attribution.cases import CASES
from tests.bench.attribution.stage import stage
from tests.bench.attribution.talk import bind

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
COUNT = 12
#: They mostly wait; each makes its own namespaces.
AT_ONCE = 5
#: Translations that are more than the socket has room for.
FLOOD = 20_000


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, Any]]:
    """What the benchmark says of every case."""
    return run(*(list(CASES)[share::AT_ONCE] for share in range(AT_ONCE)))


def run(*shares: list[str]) -> dict[str, dict[str, Any]]:
    """Shares of the benchmark at once, each given by its arguments; scores by case."""
    command = [sys.executable, "-m", "tests.bench.bench_attribution", "--json", "--count", str(COUNT)]
    running = [subprocess.Popen([*command, *share], cwd=ROOT, text=True, stdout=subprocess.PIPE) for share in shares]
    try:
        lines = [line for one in running for line in one.communicate(timeout=120)[0].splitlines()]
    finally:
        for one in running:
            one.kill()
            one.wait()
    return {score["case"]: score for score in map(json.loads, lines)}


@pytest.mark.parametrize("case", CASES)
def test_every_flow_has_its_process(case: str, scores: dict[str, dict[str, Any]]) -> None:
    score = scores[case]
    counters = score["counters"]
    assert score["good"], score
    assert score["flows"] >= COUNT
    assert counters["flows_attributed"] >= score["right"]
    assert counters["lost"] == counters["malformed"] == counters["nat_refused"] == counters["nat_malformed"] == 0
    if case.startswith("nat_"):
        assert counters["flows_translated"] >= COUNT
        assert counters["nat_learnt"] == counters["nat_known"] >= COUNT
        assert counters["nat_dumps"] >= 1
        assert any("+conntrack" in method for method in score["known_by"])
    else:
        assert counters["nat_learnt"] == counters["nat_dumps"] == 0, "where nothing is tracked nothing is asked for"


def test_what_passes_through_is_told_apart_from_what_is_here(scores: dict[str, dict[str, Any]]) -> None:
    for case in ("nat_masquerade", "nat_published"):
        assert scores[case]["counters"]["flows_elsewhere"] >= COUNT
        assert scores[case]["known_by"]["ebpf+conntrack 85 %"] >= COUNT
    assert scores["udp_trailing"]["known_by"]["ebpf 70 %"] > 0
    assert all(scores[case]["counters"]["flows_doubtful"] >= COUNT for case in ("udp_shared_port", "udp_prefork"))


def test_below_ebpf_what_lasts_has_its_process_and_nothing_is_wrong() -> None:
    rung = ["--rung", "sock_diag"]
    scores = run([*rung, "tcp_lasting", "tcp_prefork"], [*rung, "nat_redirect_udp", "udp_port_reuse"])
    assert {case: score["wrong"] for case, score in scores.items()} == dict.fromkeys(scores, 0)
    assert scores["tcp_lasting"]["recall"] == 1.0
    assert set(scores["tcp_lasting"]["known_by"]) == {"sock_diag 70 %"}


def test_translations_that_were_lost_are_asked_for_again() -> None:
    """More of them than the kernel keeps news of while nobody reads. The flow of the last one has its process."""

    def ask() -> int:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (where.blue.ipv4, 53))
            return int(client.getsockname()[1])

    with stage() as where:
        translations.redirect(where.blue, 53, 7001)
        owners = _core.Owners()
        with (
            closing(_core.SocketEvents(LADDER[0], owners)) as sockets,
            closing(
                # Room for the flood, of which nobody reads until it is over, however slowly it comes.
                _core.LiveCapture(
                    where.blue.interface, network_namespace=where.blue.namespace, owners=owners, ring_bytes=64 << 20
                )
            ) as capture,
        ):
            with inside(where.blue.namespace):
                server = bind(("", 7001))
            with server, inside(where.red.namespace):
                ask()
                server.recv(8)
                capture.poll(1.1)
                for number in range(FLOOD):
                    ask()
                    if number % 1000 == 0:
                        sockets.poll(0.0)
                port = ask()
                sockets.poll(0.0)
            batches = capture.close()
            sockets.close()
            counters = sockets.counters()
    assert counters["nat_overruns"] >= 1
    assert counters["nat_dumps"] >= 2
    rows = [row for batch in batches for row in map(json.loads, _core.to_json_lines(batch).splitlines())]
    (last,) = [row for row in rows if row["source_port"] == port][-1:]
    assert (last["process_pid"], last["attribution_method"]) == (os.getpid(), "ebpf+conntrack")
