"""The contract between agent and collector."""
