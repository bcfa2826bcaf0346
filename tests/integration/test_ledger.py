"""The balance of a running system closes, and a loss that is planted at a stage is named with that stage."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from deploy.demo.services import COLLECTOR
from tests.torture import faults
from tests.torture.arena import Arena, arena


def ledger(place: Arena) -> tuple[int, dict[str, dict[str, Any]]]:
    """The command as a person calls it: its exit code, and the balance of each stream whose rows are known, over all
    numberings of it."""
    command = [*COLLECTOR, "ledger", "--config", str(place.site.collector_toml), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    found: dict[str, dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        one = json.loads(line)
        if one["stream"] not in found:
            found[one["stream"]] = one
            continue
        for name, value in one.items():
            if isinstance(value, int | list):
                found[one["stream"]][name] += value
    return done.returncode, found


def make_rows(place: Arena) -> None:
    """Some seconds of rows, and all of them delivered."""
    for name in place.names:
        truth = place.truth(name)
        before = truth.stat().st_size if truth.exists() else 0
        place.agents[name].wait_until(lambda at=before, of=truth: of.exists() and of.stat().st_size > at + 3000, 60)  # type: ignore[misc]
    place.settle()


def again(place: Arena) -> None:
    place.pause(False)
    place.start_what_is_down()


@pytest.mark.slow
def test_it_closes_and_names_what_was_planted(tmp_path: Path) -> None:
    with arena(tmp_path, 1, 1500, Random(1)) as place:
        make_rows(place)
        code, found = ledger(place)
        assert code == 0, found
        for stream in ("logins", "dns", "flows"):
            one = found[stream]
            assert one["cut"] == one["spooled"] == one["stored"] > 0
            assert one["findings"] == []
        first = found["flows"]["stored"]

        # An agent that is killed takes its last counts along. The numbers of its rows close the balance all the same.
        again(place)
        faults.lose_the_answer(place)
        place.agents[place.names[0]].kill()
        again(place)
        make_rows(place)
        code, found = ledger(place)
        assert code == 0, found
        assert found["flows"]["acknowledged"] >= first  # also what was acknowledged when the first run had ended

        # Somebody takes rows out of a table.
        assert place.collector is not None
        assert place.collector.stop(60) == 0
        _delete(place.site.folder / "store", "ALTER TABLE luytre.dns DELETE WHERE sequence IN (3, 4)")
        code, found = ledger(place)
        assert code == 1
        assert found["dns"]["missing"] >= 2
        assert any(
            "rows UNEXPLAINED: " in text and text.endswith("not in the tables") for text in found["dns"]["findings"]
        )
        assert found["flows"]["findings"] == []


@pytest.mark.slow
@pytest.mark.root
def test_a_full_disk_is_a_loss_with_its_cause(tmp_path: Path) -> None:
    with arena(tmp_path, 1, 1500, Random(2)) as place:
        agent = place.agents[place.names[0]]
        agent.wait_until(lambda: place.truth(place.names[0]).exists(), 60)
        assert place.spool_disk.fillable
        place.relay.weather.refuse = True  # nothing leaves, so that nothing makes room
        place.relay.cut()
        place.spool_disk.fill()
        agent.wait_until(lambda: b"lost" in place.truth(place.names[0]).read_bytes(), 60)
        time.sleep(0.5)
        place.spool_disk.relieve()
        make_rows(place)
        code, found = ledger(place)
        lost = sum(sum(found[stream]["lost"].values()) for stream in ("logins", "dns", "flows"))
        assert code == 0, found
        assert lost > 0
        assert all(set(found[stream]["lost"]) <= {"disk"} for stream in found)


def _delete(directory: Path, statement: str) -> None:
    """In a process of its own: one engine at a time."""
    program = (
        "import sys; from pathlib import Path; from luytre_collector.store import embedded, readonly;"
        "store = embedded.EmbeddedStore(embedded.Config(Path(sys.argv[1])), readonly.Config()); store.open();"
        "store.command(sys.argv[2] + ' SETTINGS mutations_sync = 1'); store.close()"
    )
    subprocess.run([COLLECTOR[0], "-c", program, str(directory), statement], check=True, timeout=60)
