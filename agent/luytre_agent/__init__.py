"""The agent: packets and kernel events to rows, spooled and delivered to the collector without loss."""

import os

import luytre_common  # noqa: F401 - before gRPC is loaded: it sees to the version of TLS

__version__ = "0.1.0"

# gRPC writes a line of its own to standard error for every failed handshake; we say what happened, once, in words.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
