"""The disk spool: nothing is deleted before the collector has said: stored."""
