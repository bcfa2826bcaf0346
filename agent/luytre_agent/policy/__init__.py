"""Policies: settings that come signed, through the collector. A policy chooses among what the agent knows; there is
nothing in one that could be run.

    told (uplink) -> judge (signature, version, whom it is for) -> prepare (the new configuration, whole)
        -> TRYING, on the disk -> in force -> trial (health) -> APPLIED, or back to what was before
"""

from __future__ import annotations

from luytre_agent.policy.config import Config
from luytre_agent.policy.keeper import Policies
from luytre_agent.policy.model import Seen
from luytre_agent.policy.show import sentence, show, table

__all__ = ["Config", "Policies", "Seen", "sentence", "show", "table"]
