"""What is taken out of command lines and log lines before anything is stored: one setting for all sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luytre_common.settings import setting
from luytre_common.telemetry import Sample

from luytre_agent import _core


def _patterns(values: list[str]) -> str | None:
    try:
        _core.check_patterns(values)
    except ValueError as error:
        return f"has a fault: {error}"
    return None


@dataclass(frozen=True)
class Config:
    """Redaction of secrets."""

    enabled: bool = setting(True, "whether passwords, tokens and keys are replaced by [redacted]")
    patterns: list[str] = setting(
        [], "more regular expressions (Rust regex syntax) whose first group, or match, is a secret", _patterns
    )


#: Texts and finds of redactions that were in force before: counters only grow.
_before = (0, 0)


def apply(config: Config) -> None:
    """Set it for this process: sources take it when they are opened."""
    global _before
    texts, found = _core.redaction_counts()
    _core.set_redaction(enabled=config.enabled, patterns=config.patterns)
    _before = (_before[0] + texts, _before[1] + found)


def redact(text: str) -> str:
    """The text without secrets, as configured."""
    return _core.redact(text)


def samples() -> Sequence[Sample]:
    """Texts looked at, and those in which something was found."""
    texts, found = (now + before for now, before in zip(_core.redaction_counts(), _before, strict=True))
    return [Sample("redact", "texts", "", texts), Sample("redact", "found", "", found)]
