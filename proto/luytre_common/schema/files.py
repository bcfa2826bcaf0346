"""The table of files: what changed among those that matter, and who changed it."""

from __future__ import annotations

from luytre_common.schema.model import VALUES, Column, Kind, Table, words
from luytre_common.schema.owner import EVENT_TIME, PLACE, PROCESS

FILES = Table(
    "files",
    "One row per change of a watched file",
    (
        EVENT_TIME,
        Column(
            "event_action",
            Kind.NAME,
            "created, modified, moved, deleted, attributes, or seen (first snapshot)",
            example="modified",
        ),
        Column("event_source", Kind.NAME, "How the agent knows: fanotify, inotify, scan", example="fanotify"),
        Column(
            "file_path",
            Kind.TEXT,
            "Path; invalid UTF-8 replaced",
            sigma=("TargetFilename", "name"),
            example="/etc/passwd",
        ),
        Column("file_previous_path", Kind.TEXT, "Path before a move", sigma=("SourceFilename",), example=""),
        Column("file_type", Kind.NAME, "file, dir, symlink, fifo, socket, device", example="file"),
        Column("file_inode", Kind.U64, "Inode", example="131077"),
        Column("file_size", Kind.U64, "Size, bytes", example="1523"),
        Column("file_mode", Kind.NAME, "Permission bits, octal", example="0644"),
        Column("file_previous_mode", Kind.NAME, "Permission bits before, octal; empty if unknown", example="0644"),
        Column("file_owner", Kind.NAME, "Owner's name, or the number", example="root"),
        Column("file_group", Kind.NAME, "Group's name, or the number", example="root"),
        Column(
            "file_hash_sha256",
            Kind.NAME,
            "SHA-256 of the content now; empty if too large, or no regular file",
            example="9f86d081...",
        ),
        Column("file_previous_hash_sha256", Kind.NAME, "SHA-256 before; empty if unknown", example="60303ae2..."),
        *PROCESS,
        *PLACE,
        Column(
            "file_oddities",
            Kind.NAME,
            "too_large, vanished, not_regular, process_unknown, rescan; space-separated",
            example="",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    indexes=(("file_path", words(16384)), ("file_hash_sha256", VALUES), ("process_entity_id", VALUES)),
)
