"""Registers: what is known now of organisations, information systems and agents, one row each.

The collector writes a row when something has changed; the newest of one key counts (`FINAL`).
"""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Maker, Table

_WRITTEN = Column(
    "recorded_time",
    Kind.TIME,
    "When a collector wrote this row; the newest of one key counts",
    codec="Delta, ZSTD",
    maker=Maker.COLLECTOR,
    example="2026-11-23 02:11:05.000000",
)
_REMOVED = Column(
    "removed",
    Kind.U8,
    "1: it is not declared any more; such rows are never shown",
    maker=Maker.COLLECTOR,
    example="0",
)
_PATH = Column(
    "organisation_path",
    Kind.TEXTS,
    "The organisation and all above it, the topmost first: has(organisation_path, 'hue') is Hue and all below it",
    maker=Maker.COLLECTOR,
    example="['hue', 'hue-kim-long']",
)


def _column(name: str, kind: Kind, meaning: str, example: str, codec: str = "") -> Column:
    return Column(name, kind, meaning, codec=codec, maker=Maker.COLLECTOR, example=example)


_ORGANISATION = _column("organisation_id", Kind.NAME, "Id of the organisation; empty if none", "hue-kim-long")
_SYSTEM = _column("system_id", Kind.NAME, "Id of the information system; empty if none", "hue-portal")
_LEVEL = _column("system_level", Kind.U8, "Security level of the information system, 1 to 5; 0 if unknown", "3")

ORGANISATIONS = Table(
    "organisations",
    "Organisations, as declared in the file of sites",
    (
        _ORGANISATION,
        _column("organisation_name", Kind.TEXT, "Name in English", "Kim Long ward"),
        _column("organisation_name_vi", Kind.TEXT, "Name in Vietnamese", "Phường Kim Long"),
        _column("organisation_parent_id", Kind.NAME, "Id of the organisation above it; empty for none", "hue"),
        _PATH,
        _WRITTEN,
        _REMOVED,
    ),
    event_time="recorded_time",
    order_by=("organisation_id",),
    partition_by="",
    engine="ReplacingMergeTree(recorded_time, removed)",
    from_agent=False,
    numbered=False,
)

SYSTEMS = Table(
    "systems",
    "Information systems, as declared in the file of sites",
    (
        _SYSTEM,
        _column("system_name", Kind.TEXT, "Name in English", "Public service portal"),
        _column("system_name_vi", Kind.TEXT, "Name in Vietnamese", "Cổng dịch vụ công"),
        _LEVEL,
        _ORGANISATION,
        _PATH,
        _column("system_agents", Kind.TEXTS, "Names of its agents; * and ? stand for any characters", "['portal-*']"),
        _column("system_kept_days", Kind.U32, "Days of arrival for which rows of its agents are kept", "92"),
        _WRITTEN,
        _REMOVED,
    ),
    event_time="recorded_time",
    order_by=("system_id",),
    partition_by="",
    engine="ReplacingMergeTree(recorded_time, removed)",
    from_agent=False,
    numbered=False,
)

AGENTS = Table(
    "agents",
    "Agents that have come in, with what they said of themselves and where they belong",
    (
        _column("agent_id", Kind.NAME, "Identity: the common name of its certificate", "web-01"),
        _SYSTEM,
        _LEVEL,
        _ORGANISATION,
        _PATH,
        _column("host_name", Kind.NAME, "Host name as the agent states it", "web-01.hue.example"),
        _column("host_id", Kind.TEXT, "HMAC-SHA-256 of the host's machine-id: tells hosts apart", "b6f3c01a"),
        _column("host_os_full", Kind.NAME, "Operating system: PRETTY_NAME of os-release(5)", "Debian GNU/Linux 12"),
        _column("host_os_kernel", Kind.NAME, "Kernel: uname -r", "6.1.0-32-amd64"),
        _column("agent_version", Kind.NAME, "Version of the agent", "0.1.0"),
        _column("policy_version", Kind.U64, "Version of the policy that it has applied; 0 for none", "12"),
        _column("source_ip", Kind.IP, "Address from which it came last", "::ffff:10.1.0.7"),
        _column("collector_id", Kind.NAME, "Collector that it came to last", "collector-1"),
        _column("x509_serial_number", Kind.TEXT, "Serial number of its certificate, hexadecimal", "2A9F"),
        _column("tls_client_hash_sha256", Kind.TEXT, "SHA-256 of its certificate (DER), hexadecimal", "9c1e44"),
        _column("x509_not_after", Kind.TIME, "When its certificate expires", "2027-11-23 00:00:00.000000"),
        _column("first_seen", Kind.TIME, "When it first came in", "2026-11-01 07:00:00.000000", codec="Delta, ZSTD"),
        _column(
            "last_seen",
            Kind.TIME,
            "When it last said anything, up to a minute behind",
            "2026-11-23 02:11:05.000000",
            codec="Delta, ZSTD",
        ),
        _WRITTEN,
    ),
    event_time="last_seen",
    order_by=("agent_id",),
    partition_by="",
    engine="ReplacingMergeTree(recorded_time)",
    from_agent=False,
    numbered=False,
)
