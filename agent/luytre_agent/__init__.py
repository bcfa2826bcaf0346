"""The agent: packets and kernel activity to rows, spooled and delivered to the collector without loss."""

__version__ = "0.1.0"
