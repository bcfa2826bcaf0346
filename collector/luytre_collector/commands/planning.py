"""`plan`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import dataclasses
import json

from luytre_common.errors import EXIT_OK, UserError


def plan(args: argparse.Namespace) -> int:
    """Print what so many agents need."""
    from luytre_collector import sizing

    for name, least in (("agents", 1), ("events_per_second", 0.001), ("days", 1), ("replicas", 1)):
        if not least <= getattr(args, name) < 1e9:
            raise UserError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be {least} or more")
    found = sizing.size(args.agents, args.events_per_second, args.days, args.replicas)
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
        return EXIT_OK
    lines = [
        ("rows per second", f"{found.events_per_second:,.0f}"),
        ("rows per day", f"{found.rows_per_day:,.0f}"),
        ("network, all agents", f"{found.wire_bits_per_second / 1e6:,.2f} Mbit/s"),
        ("disk per day", f"{_bytes(found.bytes_per_day)} ({found.bytes_per_row:.0f} bytes a row)"),
        (f"disk for {args.days} days", _bytes(found.kept_bytes)),
        (f"disk of {found.replicas} replicas", _bytes(found.total_bytes)) if found.replicas > 1 else ("", ""),
        ("collector cores", f"{found.cores:,.1f}"),
        ("collectors", f"{found.collectors:,}"),
        ("store", "embedded" if found.store == "embedded" else f"server, {found.shards:,} x {found.replicas}"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        if name:
            print(f"{name:{width}}  {value}")
    return EXIT_OK


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000:
            return f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} PB"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    del shared  # it is asked before there is a configuration
    parser = commands.add_parser(
        "plan",
        help="how many collectors, shards and disks a number of agents needs",
        description="How many collectors, shards and disks a number of agents needs, from measured figures.",
        epilog="examples:\n  luytre-collector plan --agents 1000 --events-per-second 5\n"
        "  luytre-collector plan --agents 100000 --events-per-second 2 --days 180 --replicas 2 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agents", type=int, required=True, metavar="N", help="servers with an agent")
    parser.add_argument(
        "--events-per-second", type=float, required=True, metavar="R",
        help="rows of all tables that one agent sends per second, on average over a day",
    )  # fmt: skip
    parser.add_argument("--days", type=int, default=365, metavar="D", help="how long rows are kept (default: 365)")
    parser.add_argument("--replicas", type=int, default=1, metavar="K", help="copies of every row (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=plan)
