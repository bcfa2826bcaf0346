"""Version 1 of the wire. Fields and columns are added, never renumbered or given another meaning (see README)."""
