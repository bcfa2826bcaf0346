"""What the agent and the collector share: the wire, the column table, settings, telemetry, TLS."""

import os

__version__ = "0.1.0"

# TLS 1.3 only. gRPC has no setting for the lowest version, but one for the suites of TLS 1.2 (those of 1.3 are not
# configured there), which it reads once, when it is loaded: hence here. With the one below, a handshake needs a key
# that both ends were given beforehand (RFC 4279), which nobody has: none of TLS 1.2 can succeed, whatever the
# certificates.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES128-CBC-SHA"
