"""Columns added on arrival."""
