"""The disk spool: nothing is deleted before the collector has said: stored."""

from luytre_agent.spool.examine import examine
from luytre_agent.spool.model import Config, Position, Stored
from luytre_agent.spool.segment import Record
from luytre_agent.spool.spool import Spool
from luytre_agent.spool.survey import Survey, survey
from luytre_agent.spool.verify import verify

__all__ = ["Config", "Position", "Record", "Spool", "Stored", "Survey", "examine", "survey", "verify"]
