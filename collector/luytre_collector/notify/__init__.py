"""Alerts out: channels, and the outbox that keeps an alert until it is delivered."""
