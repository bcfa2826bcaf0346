"""The demo: a collector, an agent and a harmless attack story on this machine. `make demo` runs it."""
