"""The collector: ingest, enrich, detect, store, notify."""

import os

import luytre_common  # noqa: F401 - before gRPC is loaded: it sees to the version of TLS

# Before gRPC is loaded. Every failed handshake is a line otherwise, and anybody can fail handshakes all day;
# GRPC_VERBOSITY=INFO in the environment shows them.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

__version__ = "0.1.0"
