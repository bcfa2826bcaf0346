from __future__ import annotations

from pathlib import Path

import pytest
from luytre_agent.batch import Key
from luytre_agent.spool import ledger
from luytre_agent.spool.ledger import Ledger

FULL = Ledger("boot", "kernel", True, {"flows": 9}, {Key("boot", "flows"): 4}, {(Key("boot", "flows"), 5)})


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger.write(tmp_path / "ledger", FULL)
    assert ledger.read(tmp_path / "ledger") == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_no_file_is_no_ledger(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "ledger") is None


def test_every_cut_and_every_flip_is_noticed() -> None:
    data = ledger.encode(FULL)
    for size in range(len(data) - 1):
        with pytest.raises(ValueError, match="checksum or version"):
            ledger.decode(data[:size])
    for at in range(len(data) - 1):
        bad = bytearray(data)
        bad[at] ^= 1
        with pytest.raises(ValueError, match="checksum or version"):
            ledger.decode(bytes(bad))


def test_what_no_segment_holds_is_forgotten() -> None:
    mine, old = Key("boot", "flows"), Key("old", "flows")
    full = Ledger("boot", "kernel", through={mine: 4, old: 9}, refused={(mine, 5), (old, 2)})
    full.forget({mine})
    assert full.through == {mine: 4}
    assert full.refused == {(mine, 5)}
