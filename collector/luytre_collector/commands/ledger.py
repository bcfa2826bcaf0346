"""`ledger`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from luytre_common.errors import EXIT_FAILURE, EXIT_OK, UserError
from luytre_common.ledger import Entry

if TYPE_CHECKING:
    from luytre_collector.ledger import Balance, Books

_HOUR_S = 3600
_UNITS = {"h": _HOUR_S, "d": 24 * _HOUR_S}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([hd])")


def since(text: str, now: float) -> int:
    """The beginning of the hour that `text` names: `24h` or `7d` ago, or an ISO 8601 time. UserError for others."""
    if found := _SPAN.fullmatch(text):
        at = now - int(found[1]) * _UNITS[found[2]]
    else:
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            raise UserError(
                f"--since {text!r}: give hours or days as 24h or 7d, or a time as 2026-11-23T08:00"
            ) from None
        at = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    return max(0, int(at) // _HOUR_S * _HOUR_S)


def show(args: argparse.Namespace) -> int:
    """Print the balance; 1 if something in it is unexplained."""
    from luytre_collector import ledger, query
    from luytre_collector.store import choose

    config = choose.load(args.config)
    now = time.time()
    begin = since(args.since, now)

    def ask(sql: str) -> Iterable[Mapping[str, Any]]:
        answer = query.run_query(config, sql, "JSONEachRow", utc=True)
        return [json.loads(line) for line in answer.splitlines()]

    books = ledger.read(ask, begin, int(now) + 2 * 24 * _HOUR_S, args.agent)
    balances = books.balances()
    if args.json:
        for balance in balances:
            print(json.dumps(balance.to_json(), ensure_ascii=False))
    else:
        for line in _text(balances, books if args.hours else None):
            print(query.visible(line.encode()).decode())
    return EXIT_FAILURE if any(balance.unexplained for balance in balances) else EXIT_OK


_ROWS = ("cut", "spooled", "sent", "acknowledged", "stored", "waiting")


def _text(balances: Sequence[Balance], books: Books | None) -> Iterable[str]:
    if not balances:
        yield "nothing was heard of any agent in this time"
        return
    packets = [one for one in balances if one.packets_seen or one.kernel_dropped]
    streams = [one for one in balances if one not in packets]
    if packets:
        table: list[tuple[str, ...]] = [("agent", "numbering", "interface", "packets", "dropped", "undecoded")]
        table += [
            (one.agent_id, one.boot_id[:8], one.stream, *map(_number, (one.packets_seen, one.kernel_dropped)),
             _number(sum(one.undecoded.values())))
            for one in packets
        ]  # fmt: skip
        yield from _table(table, 3)
        yield ""
    lines: list[tuple[str, ...]] = [("agent", "numbering", "stream", *_ROWS, "lost", "gaps", "verdict")]
    lines += [
        (one.agent_id, one.boot_id[:8], one.stream, *(_number(getattr(one, name)) for name in _ROWS),
         _number(sum(one.lost.values())), _number(sum(one.gaps.values())), _verdict(one))
        for one in streams
    ]  # fmt: skip
    yield from _table(lines, 3)
    if books is not None:
        yield ""
        yield from _hours(books)
    findings = [(one, text) for one in balances for text in one.findings]
    if findings:
        yield ""
    for one, text in findings:
        yield f"{one.agent_id} {one.boot_id[:8]} {one.stream}: {text}"


def _hours(books: Books) -> Iterable[str]:
    entries = (Entry.ROWS_CUT, Entry.ROWS_SPOOLED, Entry.ROWS_LOST, Entry.GAP)
    lines: list[tuple[str, ...]] = [
        ("hour (UTC)", "agent", "numbering", "stream", "cut", "spooled", "lost", "gaps", "stored")
    ]
    for (key, hour), account in sorted(books.hours.items()):
        counts = [account.total(entry) for entry in entries] + [account.stored]
        if any(counts):
            at = f"{datetime.fromtimestamp(hour, UTC):%Y-%m-%d %H}"
            lines.append((at, key.agent_id, key.boot_id[:8], key.stream, *map(_number, counts)))
    return _table(lines, 4)


def _verdict(one: Balance) -> str:
    if one.unexplained:
        return "UNEXPLAINED"
    if one.lost or one.gaps:
        return "lost, explained"
    return "waiting" if one.waiting else "closed"


def _number(value: int) -> str:
    return f"{value:,}"


def _table(lines: Sequence[tuple[str, ...]], left: int) -> Iterable[str]:
    """The lines in columns: the first `left` to the left, and so the last if it is text."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [
            text.ljust(width) if column < left or lines[0][column] == "verdict" else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ledger",
        help="does the balance close: packets and rows from the network card to the tables",
        description="What the agents say became of packets and rows, beside what is in the tables. Exit code 1 if"
        " something is unexplained: rows that nobody can account for.",
        epilog="examples:\n  luytre-collector ledger\n  luytre-collector ledger --agent web-01 --since 7d --hours\n"
        "  luytre-collector ledger --since 2026-11-23T08:00+07:00 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    parser.add_argument("--agent", default="", metavar="NAME", help="only this agent")
    parser.add_argument(
        "--since", default="24h", metavar="TIME",
        help="24h, 7d, or an ISO 8601 time, by the agents' clocks, whole hours (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--hours", action="store_true", help="also hour by hour")
    parser.add_argument("--json", action="store_true", help="one JSON object for each stream of each numbering")
    parser.set_defaults(run=show)
