"""How fast the line may be used: a bucket of bytes. No clock, no input or output."""

from __future__ import annotations

#: What a message costs besides its bytes, held against the line by `tests.bench.bench_wire`: gRPC's prefix and the
#: answer (5 and 170 bytes), for each 16 KiB an HTTP/2 frame header (9) and a TLS 1.3 record (22), for each segment the
#: headers of Ethernet, IPv4 and TCP (66), and an acknowledgement for two of them.
_MESSAGE, _FRAME_BYTES, _FRAME = 5 + 170 + 66, 16_384, 9 + 22
_SEGMENT_BYTES, _SEGMENT = 1_448, 66


def on_wire(size: int) -> int:
    """Bytes on the line, both directions, for a message of `size` bytes; see `bench_wire`."""
    frames = -(-size // _FRAME_BYTES)
    segments = -(-(size + _FRAME * frames) // _SEGMENT_BYTES)
    return size + _MESSAGE + _FRAME * frames + _SEGMENT * segments + _SEGMENT * (segments // 2)


class Pace:
    """A token bucket that holds one second's bytes. What is sent may bring it into debt, for a message goes out in one
    piece; then nothing may follow until the debt is paid. 0 bytes per second: no limit."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._level = bytes_per_second
        self._at: float | None = None

    def _fill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until the next message may go."""
        if not self._rate:
            return 0.0
        self._fill(now)
        return -self._level / self._rate if self._level <= -1 else 0.0  # parts of a byte are no debt

    def spend(self, size: int, now: float) -> None:
        """A message of `size` bytes goes out."""
        if self._rate:
            self._fill(now)
            self._level -= on_wire(size)
