"""Alerts on standard output, one line each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TextIO

from luytre_common.settings import setting

from luytre_collector.detect.alert import Alert
from luytre_collector.notify import text
from luytre_collector.notify.base import Channel, Language, WillNeverWorkError


@dataclass(frozen=True)
class Config:
    """Alerts on standard output."""

    enabled: bool = setting(True, "whether to print alerts")
    language: Language = setting("vi", "vi or en")
    time_zone: str = setting("Asia/Ho_Chi_Minh", "time zone of the times shown (IANA name)", text.time_zone)


class Console:
    """One line per alert."""

    name = "console"

    def __init__(self, config: Config, stream: TextIO | None = None) -> None:
        self._config = config
        self._stream = stream

    def deliver(self, alert: Alert) -> None:
        """Print. A closed output takes nothing and never will."""
        stream = self._stream or sys.stdout
        try:
            print(text.line(alert, self._config.language, self._config.time_zone), file=stream, flush=True)
        except (OSError, ValueError) as error:
            raise WillNeverWorkError(f"standard output: {error}") from None


def channels(config: Config) -> list[Channel]:
    """The channel, if it is on."""
    return [Console(config)] if config.enabled else []
