"""The arithmetic of `luytre-collector plan`."""

import json

import pytest
from luytre_collector.__main__ import main
from luytre_collector.sizing import Figures, size

ROUND = Figures(disk={"flows": 30.0, "dns": 10.0}, mix={"flows": 0.5, "dns": 0.5}, derived=20.0)


def test_sizes_follow_from_the_figures() -> None:
    found = size(100, 10.0, days=10, replicas=2, figures=ROUND)
    assert found.bytes_per_row == 30.0
    assert found.rows_per_day == 86_400_000
    assert found.bytes_per_day == 86_400_000 * 30
    assert found.total_bytes == 2 * 10 * found.bytes_per_day
    assert found.wire_bits_per_second == 1000 * 40 * 8
    assert (found.collectors, found.store, found.shards) == (1, "server", 1)


@pytest.mark.parametrize(
    ("agents", "rate", "collectors", "store"),
    [(10, 5, 1, "embedded"), (1000, 5, 1, "server"), (2001, 0.1, 2, "server"), (100, 2000, 2, "server")],
)
def test_what_grows(agents: int, rate: float, collectors: int, store: str) -> None:
    found = size(agents, rate, 365, 1)
    assert (found.collectors, found.store) == (collectors, store)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--agents", "10", "--events-per-second", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["collectors"] == 1
    assert main(["plan", "--agents", "5000", "--events-per-second", "5", "--replicas", "2"]) == 0
    shown = capsys.readouterr().out
    assert "disk of 2 replicas" in shown
    assert "server, 4 x 2" in shown


@pytest.mark.parametrize("option", ["--agents", "--days", "--replicas"])
def test_a_mistake_is_named(capsys: pytest.CaptureFixture[str], option: str) -> None:
    options = {"--agents": "1", "--events-per-second": "1", "--days": "1", option: "0"}
    assert main(["plan", *(part for pair in options.items() for part in pair)]) == 2
    assert f"{option} 0: must be 1 or more" in capsys.readouterr().err
