"""The uplink: one mutually authenticated stream to the collector, and everything in the spool goes over it."""

from luytre_agent.uplink.channel import PROTOCOL, Config, probe
from luytre_agent.uplink.client import Uplink
from luytre_agent.uplink.encode import encode

__all__ = ["PROTOCOL", "Config", "Uplink", "encode", "probe"]
