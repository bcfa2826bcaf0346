"""How large a batch may be: the agent makes no larger one, the collector refuses it unopened (see ingest.proto)."""

from __future__ import annotations

#: Rows. What a few hundred bytes may claim to hold costs the collector some 200 MB at most.
MAX_ROWS = 200_000

#: Bytes of the body before compression.
MAX_BODY_BYTES = 64 * 1024 * 1024
