"""Logs of the host: files followed through rotation, the journal, login records; and what their lines say."""
