from __future__ import annotations

from pathlib import Path

import pytest
from luytre_agent.policy import Config
from luytre_common import settings
from luytre_common.errors import ConfigError


def test_where_the_state_is() -> None:
    spool = Path("/var/lib/luytre-agent/spool")
    assert Config().folder(spool) == Path("/var/lib/luytre-agent/spool-policy")
    assert Config(directory=Path("/x")).folder(spool) == Path("/x")


def test_a_host_keeps_keys_and_tables_to_itself() -> None:
    config = Config(locked=["sources.files", "health.interval_seconds"])
    given = {"sources.files.paths": [], "sources.packets.enabled": True, "health.interval_seconds": 5}
    assert config.open(given) == {"sources.packets.enabled": True}
    assert config.kept(given) == ["sources.files.paths", "health.interval_seconds"]


def test_locking_what_no_policy_may_set_is_a_mistake() -> None:
    assert settings.build(Config, {"locked": ["sources", "redact"]}).locked == ["sources", "redact"]
    for wrong in ("tls", "sources.file", "", "sources.files.enabled.x"):
        with pytest.raises(ConfigError, match="which no policy may set anyway"):
            settings.build(Config, {"locked": [wrong]})
