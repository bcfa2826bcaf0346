"""Conversations between processes whose owners are known, to hold the answers of the agent against."""
