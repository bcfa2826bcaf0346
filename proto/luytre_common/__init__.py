"""What the agent and the collector share: the wire, the column table, settings, telemetry, TLS."""

__version__ = "0.1.0"
