"""Golden: `tests/golden/config/agent/CASE/in.toml` gives `expected.toml` (as `dump` shows it) or `error.txt`.

`BLESS=1` writes what is missing or different; read it by eye.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_agent import config
from luytre_common.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden/config/agent"
SHIPPED = Path(__file__).parents[3] / "deploy/config/agent.toml"


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
    hold(GOLDEN / case / "expected.toml", config.dump(loaded))
    assert config.load(GOLDEN / case / "expected.toml") == loaded


def test_the_shipped_file_is_good() -> None:
    assert config.load(SHIPPED).uplink.collector


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No such file or directory; give an existing file with --config"):
        config.load(tmp_path / "agent.toml")


def test_the_host_name_is_the_systems_unless_given() -> None:
    assert config.Agent(name="web-01").host_name == "web-01"
    assert config.Agent().host_name
