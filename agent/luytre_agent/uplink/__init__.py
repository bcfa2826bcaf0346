"""The stream to the collector."""
