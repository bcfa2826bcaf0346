"""`luytre-agent spool`: what waits in the spool, for how long there is room, and whether all of it is sound."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from luytre_common.errors import EXIT_FAILURE, EXIT_OK

from luytre_agent import config
from luytre_agent.commands.options import add_command, add_config
from luytre_agent.spool import Survey, survey, verify
from luytre_agent.spool.classes import CLASSES, NAMES, class_of
from luytre_agent.spool.survey import Share
from luytre_agent.spool.verify import Fault, Verdict

_HEADS = "class   table              batches        rows          bytes  waiting rows  waiting bytes  oldest waiting"


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "spool",
        "show what waits on the disk and for how long there is room, or check every byte of it",
        "  luytre-agent spool status\n"
        "  luytre-agent spool status --json | jq .lasts_hours\n"
        "  luytre-agent spool verify",
    )
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    status = add_command(
        verbs,
        "status",
        "what is in it by class and table, the oldest, and how long the quota lasts; also beside a running agent",
        "  luytre-agent spool status --config agent.toml\n  luytre-agent spool status --json",
    )
    status.set_defaults(main=show_status)
    check = add_command(
        verbs,
        "verify",
        "read every batch, check checksums, numbers and hash chain; exit 1 if something is wrong",
        "  luytre-agent spool verify --config agent.toml\n  luytre-agent spool verify --json",
    )
    check.set_defaults(main=show_verdict)
    for one in (status, check):
        add_config(one)
        one.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def show_status(arguments: argparse.Namespace) -> int:
    """Run `spool status`."""
    found = survey(config.load(arguments.config).spool)
    if arguments.json:
        sys.stdout.write(json.dumps(_as_json(found), ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(found))
    return EXIT_OK


def _as_json(found: Survey) -> dict[str, Any]:
    left = found.left_s
    return {
        "directory": str(found.directory),
        "holder": found.holder or None,
        "max_bytes": found.max_bytes,
        "bytes": found.bytes,
        "segments": found.segments,
        "set_aside": {"files": found.aside[0], "bytes": found.aside[1]},
        "gap_rows_untold": found.gaps,
        "span_seconds": found.span_s,
        "lasts_hours": {name: seconds / 3600 for name, seconds in found.lasts_s.items()} or None,
        "left_hours": None if left is None else left / 3600,
        "total": _share(found.all),
        "classes": {name: _share(share) for name, share in found.classes.items()},
        "tables": {
            name: {"class": NAMES[class_of(name)], **_share(share)} for name, share in sorted(found.tables.items())
        },
    }


def _share(share: Share) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(share).items() if not name.endswith("_us")}
    return {**fields, "oldest_waiting": _time(share.oldest_waiting_us) or None}


def _time(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}" if microseconds else ""


def _lines(found: Survey) -> Iterator[str]:
    yield f"spool    {found.directory}, " + (
        f"in use by process {found.holder}" if found.holder else "no agent runs on it"
    )
    used = found.bytes / found.max_bytes
    yield f"quota    {found.max_bytes:,} bytes, {used:.1%} used by {found.bytes:,} bytes in {found.segments} segments"
    if found.aside[0]:
        yield f"aside    {found.aside[1]:,} bytes in {found.aside[0]} damaged files, kept while there is room"
    if found.gaps:
        yield f"gaps     {found.gaps:,} rows are lost and not told of yet"
    yield ""
    yield _HEADS
    for name, tables in CLASSES.items():
        others = [table for table in found.tables if NAMES[class_of(table)] == name and table not in tables]
        for table in (*tables, *sorted(others)):
            if table in found.tables:
                yield _row(name, table, found.tables[table])
    yield _row("all", "", found.all)
    yield ""
    lasts = found.lasts_s
    if not lasts:
        yield "lasts    unknown: what is in it comes from less than a minute"
        return
    yield f"lasts    {_hours(min(lasts.values()))} of outage until the first batch goes, at the rate of the" + (
        f" {_hours(found.span_s)} that are in it; {_hours(found.left_s or 0.0)} from now"
    )
    for name, seconds in reversed(lasts.items()):
        yield f"         {_hours(seconds):>10} until class {name} gives way"


def _row(name: str, table: str, share: Share) -> str:
    counts = (
        f"{share.batches:>10,}{share.rows:>12,}{share.bytes:>15,}{share.waiting_rows:>14,}{share.waiting_bytes:>15,}"
    )
    return f"{name:8}{table:16}{counts}  {_time(share.oldest_waiting_us)}".rstrip()


def _hours(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:,.1f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 1000 * 3600 else f"{seconds / 86400:,.1f} d"


def show_verdict(arguments: argparse.Namespace) -> int:
    """Run `spool verify`."""
    verdict = verify(config.load(arguments.config).spool)
    if arguments.json:
        fields = {**asdict(verdict), "ok": not verdict.faults, "directory": str(verdict.directory)}
        fields["holder"] = verdict.holder or None
        sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _verdict(verdict))
    return EXIT_FAILURE if verdict.faults else EXIT_OK


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield from (_fault("FAIL", fault) for fault in verdict.faults)
    yield from (_fault("note", note) for note in verdict.notes)
    seen = f"{verdict.rows:,} rows in {verdict.batches:,} batches in {verdict.segments} segments of {verdict.directory}"
    if verdict.unchained:
        seen += f"; {verdict.unchained:,} batches of an earlier version have no hash chain"
    if verdict.faults:
        yield f"{seen}: {len(verdict.faults)} faults; the next start keeps what is sound and sets damaged files aside"
    else:
        yield f"{seen}: all sound"


def _fault(kind: str, fault: Fault) -> str:
    return f"{kind}  {fault.file} at byte {fault.offset}: {fault.what}"
