"""Alerts out: channels, and the outbox that keeps an alert until it is delivered.

To add a channel: one file with a frozen `Config`, a class that is a `Channel`, and `channels(config)`; then one field
in `Config` and one line in `CHANNELS`. The contract test runs over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from luytre_common.errors import UserError
from luytre_common.settings import setting

from luytre_collector.notify import console, outbox, webhook
from luytre_collector.notify.base import Channel


@dataclass(frozen=True)
class Config:
    """Where alerts go."""

    outbox: outbox.Config = setting(outbox.Config(), "alerts not yet delivered")
    console: console.Config = setting(console.Config(), "alerts on standard output")
    webhook: list[webhook.Config] = setting([], "alerts by HTTP POST, one table per receiver")


#: Every kind of channel: its name, and how its part of the configuration becomes channels.
CHANNELS: dict[str, Callable[[Config], list[Channel]]] = {
    "console": lambda config: console.channels(config.console),
    "webhook": lambda config: webhook.channels(config.webhook),
}


def build(config: Config) -> list[Channel]:
    """Every channel that the configuration turns on. UserError if two have the same name."""
    made = [channel for channels in CHANNELS.values() for channel in channels(config)]
    names = [channel.name for channel in made]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"notify: two channels are called {name}; give each a name of its own")
    return made
