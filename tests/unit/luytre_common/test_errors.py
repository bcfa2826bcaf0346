"""The exceptions that people read."""

from pathlib import Path

from luytre_common.errors import ConfigError, LuytreError, Unavailable, UserError


def test_messages_and_exit_codes() -> None:
    assert str(ConfigError(Path("a.toml"), ["x: 1", "y: 2"])) == "a.toml: x: 1\na.toml: y: 2"
    assert str(ConfigError(None, ["x: 1"])) == "x: 1"
    assert str(Unavailable("no ring", "run as root")) == "no ring; run as root"
    assert str(Unavailable("no ring")) == "no ring"
    assert (LuytreError.exit_code, UserError.exit_code) == (1, 2)
