"""Golden: `tests/golden/config/agent/CASE/in.toml` gives `expected.toml` (as `dump` shows it) or `error.txt`.

`BLESS=1` writes what is missing or different; read it by eye.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_agent import config
from luytre_common import settings
from luytre_common.errors import ConfigError, UserError

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


def test_a_policy_lies_over_the_hosts_own() -> None:
    own = config.load(GOLDEN / "minimal/in.toml")
    assert config.effective(own, {}) == own
    given = {"sources.files.web_roots": ["/var/www"], "sources.sockets.enabled": False, "health.interval_seconds": 5}
    made = config.effective(own, given)
    assert (made.sources.files.web_roots, made.sources.sockets.enabled, made.health.interval_seconds) == (
        ["/var/www"],
        False,
        5.0,
    )
    assert (made.tls, made.uplink, made.sources.packets) == (own.tls, own.uplink, own.sources.packets)


def test_patterns_of_a_policy_are_added_to_the_hosts_own() -> None:
    own = settings.overlay(config.load(GOLDEN / "minimal/in.toml"), {"redact": {"patterns": ["a"]}})
    made = config.effective(own, {"redact.patterns": ["b"]})
    assert made.redact.patterns == ["a", "b"]
    assert own.redact.patterns == ["a"]


def test_a_policy_that_is_no_configuration_says_why() -> None:
    own = config.load(GOLDEN / "minimal/in.toml")
    with pytest.raises(ConfigError, match=r"redact\.patterns: .* is not a pattern"):
        config.effective(own, {"redact.patterns": ["("]})
    kinds = ("files", "logins", "packets", "processes", "sockets", "network", "inventory")
    with pytest.raises(ConfigError, match="turns off every source"):
        config.effective(own, {f"sources.{kind}.enabled": False for kind in kinds})


def test_the_policys_state_lies_beside_the_spool() -> None:
    own = config.load(GOLDEN / "minimal/in.toml")
    assert own.policy_folder == own.spool.directory.with_name(own.spool.directory.name + "-policy")
