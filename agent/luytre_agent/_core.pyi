"""The Rust core. Times are microseconds since 1970-01-01 UTC. Long calls release the GIL."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

__all__ = [
    "FileReplay",
    "LiveCapture",
    "Owners",
    "Process",
    "ProcessEvents",
    "Sealed",
    "SocketEvents",
    "TableBuilder",
    "check_patterns",
    "listening_ports",
    "new_key",
    "read_only_count",
    "read_process",
    "redact",
    "redaction_counts",
    "set_redaction",
    "signing_request",
    "to_json_lines",
    "translations_heard",
    "verify_ed25519",
]

@final
class Sealed:
    """The body of a batch: one zstd frame around one Arrow IPC stream."""

    @property
    def table(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def first_event(self) -> int: ...
    @property
    def last_event(self) -> int: ...
    @property
    def raw_size(self) -> int: ...
    @property
    def body(self) -> bytes: ...

@final
class TableBuilder:
    """Rows of one table from Python. ValueError for an unknown table or column or a value out of range."""

    def __new__(cls, table: str) -> Self: ...
    @property
    def rows(self) -> int: ...
    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row; columns that are not given are the type's zero. Nothing is added if a value is refused."""

    def seal(self) -> Sealed | None:
        """The rows so far as a batch body, and an empty builder; None if there were none."""

@final
class LiveCapture:
    """Packets of one interface through the decoders and the flow table.

    By default in the caller's network namespace and with nothing left out. OSError if the ring cannot be opened,
    ValueError for a setting out of range. `owners` is asked for the process of each flow.
    """

    def __new__(
        cls,
        interface: str,
        *,
        network_namespace: str = ...,
        exclude: Sequence[tuple[str, int]] = ...,
        ring_bytes: int = 4_194_304,
        snap_length: int = 2048,
        promiscuous: bool = False,
        inactive_timeout_s: float = 60.0,
        active_timeout_s: float = 300.0,
        max_flows: int = 65_536,
        batch_rows: int = 10_000,
        batch_seconds: float = 1.0,
        owners: Owners | None = None,
    ) -> Self: ...
    def poll(self, timeout_s: float) -> list[Sealed]: ...
    def ease(self, *, batch_seconds: float, details: bool, one_in: int) -> None:
        """From now on batches are so old at most; without `details` no rows of `tls` are made; one flow in `one_in` is
        looked at (1 all, 0 none). Rows of what was before come with the next batches. ValueError out of range."""

    def counters(self) -> dict[str, int]:
        """As of the end of the last call, by name; a label follows after a slash. Safe from any thread, never waits.

        packets, bytes: frames seen, and their length on the wire.
        undecoded/CAUSE: frames that are in no flow, each in exactly one cause.
        flows, flows_open: flows begun; flows now (the only one that falls).
        flows_cut/REASON: flow rows, by flow_end_reason; flows_evicted is flows_cut/evicted.
        rows/TABLE, rows_odd/TABLE: rows made; those of them that say oddities.
        fragments_unmatched: later fragments whose first one was not seen: counted to a flow without ports.
        time_went_back: times that the clock of the packets went back by more than the inactive timeout.
        dns_crowded_out, tls_crowded_out: questions and hellos written incomplete because too many waited.
        dns_split: DNS messages over TCP that were not in one segment, and were not read.
        unsampled_packets/TRANSPORT, unsampled_bytes/TRANSPORT, unsampled_connections/TRANSPORT: packets of flows that
        were left out, their length (network layer), and those of them that ask for a connection.
        kernel_packets, kernel_dropped, kernel_freezes: frames that passed the filter; those that found the ring full;
        times it became full.
        """

    def close(self) -> list[Sealed]:
        """Cut every open flow (end reason `stop`), release the ring, return the last batches."""

@final
class FileReplay:
    """A capture file through the same decoders and flow table, on the file's own clock.

    OSError if it cannot be opened; ValueError if it is no capture file or has an unknown link type.
    """

    def __new__(
        cls,
        path: str,
        *,
        inactive_timeout_s: float = 60.0,
        active_timeout_s: float = 300.0,
        max_flows: int = 1_048_576,
        batch_rows: int = 10_000,
    ) -> Self: ...
    def read(self, max_packets: int) -> list[Sealed]:
        """Read on; the batches that became full. A truncated or corrupt record ends the file: see `fault`."""

    @property
    def finished(self) -> bool: ...
    @property
    def fault(self) -> str:
        """What was wrong with the file, naming the byte; empty if nothing."""

    def counters(self) -> dict[str, int]:
        """As `LiveCapture.counters` without the kernel's, and unknown_link: packets that were left out because of the
        link type of their interface; file_faults: 1 if `fault` says something.
        """

    def close(self) -> list[Sealed]: ...

@final
class ProcessEvents:
    """exec and exit events from the kernel. `rung` is "ebpf", "audit", "cn_proc" or "proc". OSError or ValueError if it
    cannot start."""

    def __new__(
        cls,
        rung: str,
        *,
        batch_rows: int = 5_000,
        batch_seconds: float = 0.5,
        ring_bytes: int = 2_097_152,
        owners: Owners | None = None,
        seed: bool = True,
        forks: bool = False,
        hashes: bool = True,
        ptrace: bool = True,
        interval_seconds: float = 1.0,
    ) -> Self: ...
    def notes(self) -> list[str]:
        """What people should know about the rung, each a phrase. Nothing after `close`."""

    def poll(self, timeout_s: float) -> list[Sealed]: ...
    def ease(self, batch_seconds: float) -> None:
        """From now on batches are so old at most."""

    def counters(self) -> dict[str, int]: ...
    def close(self) -> list[Sealed]: ...

def translations_heard() -> bool:
    """Whether anything is tracked in the agent's network namespace, so that addresses may be translated (NAT), and the
    kernel tells of it. OSError if it does not.
    """

@final
class Owners:
    """Who owns which end of a conversation: one for the whole agent, given to all who learn of owners or ask for them.

    `most`: ends that are kept at a time.
    """

    def __new__(cls, most: int = 57_344) -> Self: ...
    @property
    def known(self) -> int:
        """Ends that are known now."""

    def process(self, pid: int, since_ns: int, until_ns: int) -> Process | None:
        """The process that had the pid at some time between the two, as process events told of it; also one that has
        ended. None if none is known, or if there were two. What it runs is the last that it is known to have run. Times
        here are nanoseconds of CLOCK_BOOTTIME.
        """

    def knows_processes(self, time_ns: int) -> bool:
        """Whether all process events until then were taken in, or nobody tells of any."""

@final
class Process:
    """One process. Texts that are not known are empty; `command_line` is redacted."""

    @property
    def pid(self) -> int: ...
    @property
    def entity_id(self) -> int:
        """As in table processes; 0 if unknown."""

    @property
    def name(self) -> str: ...
    @property
    def executable(self) -> str: ...
    @property
    def command_line(self) -> str: ...
    @property
    def user_id(self) -> int:
        """The real one; 4294967295 if unknown."""

    @property
    def systemd_unit(self) -> str: ...
    @property
    def container_id(self) -> str: ...

def read_process(pid: int) -> Process | None:
    """The process as /proc shows it now; None if it is gone."""

@final
class SocketEvents:
    """Socket events from the kernel, which also fill `owners`. `rung` is "ebpf" or "sock_diag". OSError or ValueError
    if it cannot start."""

    def __new__(
        cls,
        rung: str,
        owners: Owners,
        *,
        batch_rows: int = 5_000,
        batch_seconds: float = 0.5,
        ring_bytes: int = 1_048_576,
        poll_seconds: float = 0.5,
        watch_use: bool = True,
        iterate: bool = True,
    ) -> Self: ...
    def poll(self, timeout_s: float) -> list[Sealed]: ...
    def ease(self, batch_seconds: float) -> None:
        """From now on batches are so old at most."""

    def lacks(self) -> list[str]:
        """What this rung could tell but cannot here, a line each."""

    def counters(self) -> dict[str, int]:
        """By name. connect, accept, listen, bind, close, seed: rows. owner_changed: sockets handed on to another
        process. owner_unknown, program_unknown: rows without owner, and without what it runs. lost, malformed: records
        that found no room in the ring, or made no sense. flows_attributed, flows_unattributed, flows_doubtful: rows of
        flows with an owner, with none known, and with two that could be meant, so that none is said. ends_evicted:
        forgotten for want of room; ends_known: now.

        sock_diag only. dumps: looks at all sockets; dump_microseconds: that took; dumps_interrupted: begun anew because
        the sockets changed; dumps_failed. walks: looks at who holds them; walk_microseconds; walks_cut: there was too
        much to look at. processes_refused: into which the last walk could not look. held_by_several: sockets without an
        owner because several processes hold them. sockets_known: now; sockets_skipped: beyond what is kept. namespaces,
        namespaces_refused: network namespaces that are looked at, and that are not.
        """

    def close(self) -> list[Sealed]: ...

def listening_ports(
    proc: Path, namespace: Path | None = None
) -> list[tuple[str, str, int, int, list[str], list[str], list[str]]]:
    """The ports at which somebody listens now: transport, address, port, user id; then names, executables and systemd
    units of the processes that hold it. `proc`: a mounted proc(5). `namespace`: file of a network namespace, else ours,
    which is also looked at if the other may not be entered. OSError where the kernel does not list sockets."""

def redact(text: str) -> str:
    """The text without passwords, tokens and keys, each replaced by `[redacted]`; linear time."""

def set_redaction(*, enabled: bool = True, patterns: Sequence[str] = ...) -> None:
    """The redaction of this process, for `redact` and for sources that are opened from now on. ValueError as below."""

def check_patterns(patterns: Sequence[str]) -> None:
    """ValueError if one of them is no regular expression in the syntax of Rust's regex crate."""

def redaction_counts() -> tuple[int, int]:
    """Texts that the present redaction looked at; texts and arguments in which it found something."""

def to_json_lines(batch: Sealed, first_sequence: int = 0) -> bytes:
    """One JSON object per row and line: `table`, then every column of the schema in order, aliases included."""

def read_only_count(path: str) -> tuple[int, int]:
    """Packets and bytes of a capture file, only read, not decoded: the floor that benchmarks compare with."""

def verify_ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) was made over `message` with the private half of `key` (32 bytes), by RFC 8032.
    False for anything else, of whatever length."""

def new_key(entropy: bytes) -> str:
    """A P-256 key (PKCS #8 PEM) of 32 random bytes. ValueError if they make none, which happens to 1 in 2^32 of them:
    draw others."""

def signing_request(key: str, name: str) -> bytes:
    """The request (PKCS #10, DER) that this key be certified under a common name; the same for the same. ValueError if
    the key is none, or the name empty or longer than 64 bytes."""
