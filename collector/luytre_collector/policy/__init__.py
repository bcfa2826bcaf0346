"""Signed policies on their way to agents, and what becomes of them there. The collector cannot make one: it passes on
what an operator has signed.

    policy sign, publish -> folder -> publisher (thread) -> control (event loop) -> agents
    agents -> control -> reports (thread) -> table policy_reports, alerts
"""

from __future__ import annotations

from luytre_collector.policy.config import Config

__all__ = ["Config"]
