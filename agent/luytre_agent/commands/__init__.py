"""The commands: one file each, with `add` (its options) and `main` (what it does); `COMMANDS` is the table of them."""

from __future__ import annotations

from luytre_agent.commands import check, completion, dump, enrol, policy, replay, run, spool

COMMANDS = (enrol, run, replay, check, dump, spool, policy, completion)
