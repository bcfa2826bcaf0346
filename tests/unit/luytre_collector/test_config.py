"""Golden: `tests/golden/config/collector/CASE/in.toml` gives `expected.toml` (as `dump` shows it) or `error.txt`.

`BLESS=1` writes what is missing or different; read it by eye.
"""

from __future__ import annotations

import os
from pathlib import Path

import luytre_rules
import pytest
from luytre_collector import config
from luytre_common import settings
from luytre_common.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden/config/collector"
SHIPPED = Path(__file__).parents[3] / "deploy/config/collector.toml"


def hold(path: Path, found: str) -> None:
    if os.environ.get("BLESS"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_golden(case: str) -> None:
    given = GOLDEN / case / "in.toml"
    try:
        loaded = config.load(given)
    except UserError as error:
        hold(GOLDEN / case / "error.txt", str(error).replace(str(given), "in.toml") + f"\nexit {error.exit_code}\n")
        return
    hold(GOLDEN / case / "expected.toml", settings.dump(loaded))
    assert config.load(GOLDEN / case / "expected.toml") == loaded


def test_the_shipped_file_is_good() -> None:
    assert config.load(SHIPPED).ingest.listen == "0.0.0.0:7071"


def test_what_is_not_given_is_found() -> None:
    assert config.Collector(name="c").called == "c"
    assert config.Collector().called
    assert config.Detect().folders == [luytre_rules.FOLDER]
    assert config.Detect(rules=[Path("/x")]).folders == [Path("/x")]
