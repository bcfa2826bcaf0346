"""Rules to alerts: on every batch as it arrives, and in SQL over what is stored."""
