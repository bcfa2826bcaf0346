"""The commands: one file each, with `add` (its options) and `main` (what it does); `COMMANDS` is the table of them."""

from __future__ import annotations

from luytre_agent.commands import check, completion, dump, policy, replay, run

COMMANDS = (run, replay, check, dump, policy, completion)
