"""The server comes first: what the agent may use of its host, and the ladder it goes down when that does not do."""

from luytre_agent.limits.config import Config
from luytre_agent.limits.governor import Gauges, Governor
from luytre_agent.limits.ladder import Ladder, Pressure, Step

__all__ = ["Config", "Gauges", "Governor", "Ladder", "Pressure", "Step"]
