"""Conversations between processes whose owners are known: what `bench_attribution` holds the agent's answers against."""
