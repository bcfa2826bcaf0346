"""Exactly once, by crash injection: real agents and a real collector, killed, stopped, cut off and starved at random.

    python -m tests.torture --rounds 1000 [--seed N] [--agents N] [--json]      or: make torture ROUNDS=1000

Every agent runs the real composition (`luytre_agent.app.Agent`: worker, spool, uplink) around one source that makes
numbered rows, and writes into a file, before and after, what it gave to the spool and what the spool took. That file is
the truth: what the spool took must be in the tables exactly once, what it did not take at most once. Between agents
and collector sits a relay on loopback that delays, holds one direction, cuts and refuses; spools and store lie on file
systems of their own that can be filled.
"""
