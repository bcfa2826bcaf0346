"""The collector: ingest, enrich, detect, store, notify."""

__version__ = "0.1.0"
