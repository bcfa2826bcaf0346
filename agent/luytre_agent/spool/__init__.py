"""The disk spool: nothing is deleted before the collector has said: stored."""

from luytre_agent.spool.examine import examine
from luytre_agent.spool.model import Config, Position, Stored
from luytre_agent.spool.segment import Record
from luytre_agent.spool.spool import Spool

__all__ = ["Config", "Position", "Record", "Spool", "Stored", "examine"]
