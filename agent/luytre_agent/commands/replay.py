"""`luytre-agent replay`: capture files to a summary, to JSON lines, or to the collector."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from luytre_common.errors import EXIT_OK, EXIT_USAGE, LuytreError, Unavailable, UserError
from luytre_common.lifecycle import stop_on_signals
from luytre_common.telemetry import configure_logging

from luytre_agent import config
from luytre_agent.app import Agent
from luytre_agent.batch import SealedBatch
from luytre_agent.commands.options import add_command, add_config
from luytre_agent.sources import replay

_STANDARD_INPUT = Path("-")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "replay",
        "read capture files (pcap, pcapng, also gzip or zstd) and show what is in them, or deliver it",
        "  luytre-agent replay evening.pcap\n"
        "  luytre-agent replay evening.pcap --json > rows.jsonl\n"
        "  tcpdump -r evening.pcap -w - port 53 | luytre-agent replay -\n"
        "  luytre-agent replay evening.pcap --config agent.toml --deliver",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="capture file, - for standard input")
    parser.add_argument("--json", action="store_true", help="print every row as a JSON object on a line of its own")
    parser.add_argument("--deliver", action="store_true", help="deliver the rows to the collector of --config")
    add_config(parser, default=None)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.deliver and arguments.config is None:
        raise UserError("--deliver needs a collector; give --config FILE")
    if arguments.deliver and arguments.json:
        raise UserError("--json and --deliver exclude each other; choose one")
    once = [path for path in arguments.files if path == _STANDARD_INPUT or path.is_fifo()]
    if arguments.deliver and once:
        raise UserError(f"{once[0]}: --deliver looks at every file before it begins; save its content to a file first")
    loaded = config.load(arguments.config) if arguments.config else None
    files = [Path("/dev/stdin") if path == _STANDARD_INPUT else path for path in arguments.files]
    settings = replace(loaded.sources.replay if loaded else replay.Config(), files=files)
    if arguments.deliver:
        assert loaded is not None
        return _deliver(loaded, settings)
    return _show(settings, arguments.json)


def _complain(path: Path, fault: str) -> None:
    named = fault if fault.startswith(str(path)) else f"{path}: {fault}"
    sys.stderr.write(f"luytre-agent: {named}; what came before is complete\n")


def _show(settings: replay.Config, as_json: bool) -> int:
    printer = _print_json if as_json else _print_nothing
    code = EXIT_OK
    totals: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    progress = Progress(sys.stderr.isatty() and not as_json)
    for path in settings.files:
        source = replay.Replay(settings, path)
        try:
            source.open()
        except Unavailable as error:
            sys.stderr.write(f"luytre-agent: {error}\n")
            code = EXIT_USAGE
            continue
        while not source.finished:
            printer(source.poll(0.0), numbers)
            progress.show(next((one.value for one in source.samples() if one.name == "packets"), 0))
        printer(source.close(), numbers)
        totals.update({sample.name: sample.value for sample in source.samples()})
        progress.clear()
        if source.fault:
            sys.stdout.flush()
            _complain(path, source.fault)
            code = EXIT_USAGE
    if not as_json and totals:
        sys.stdout.writelines(summary(totals, numbers))
    return code


Printer = Callable[[Iterable[SealedBatch], Counter[str]], None]


def _print_json(batches: Iterable[SealedBatch], numbers: Counter[str]) -> None:
    for batch in batches:
        sys.stdout.buffer.write(replay.json_lines(batch, numbers[batch.table]))
        numbers[batch.table] += batch.rows


def _print_nothing(batches: Iterable[SealedBatch], numbers: Counter[str]) -> None:
    for batch in batches:
        numbers[batch.table] += batch.rows


def summary(counters: Counter[str], rows: Counter[str]) -> list[str]:
    """A table of what was read: packets, rows by table, and everything that was odd, by cause."""
    undecoded = sum(value for name, value in counters.items() if name.startswith("undecoded/"))
    lines = [("packets", counters["packets"]), ("bytes", counters["bytes"])]
    lines += [(table, rows[table]) for table in ("flows", "dns", "tls")]
    lines += [("undecoded", undecoded)]
    shown = {name for name, _ in lines} | {"flows_open"}
    lines += [
        (name, value)
        for name, value in sorted(counters.items())
        if value and name not in shown and not name.startswith("rows/")
    ]
    width = max(len(name) for name, _ in lines)
    return [f"{name:{width}}  {value:>14,}\n" for name, value in lines]


class Progress:
    """A line on the terminal that says how far we are, at most five times a second."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._last = 0.0

    def show(self, packets: int) -> None:
        """Say so many."""
        now = time.monotonic()
        if self._wanted and now - self._last >= 0.2:
            self._last = now
            sys.stderr.write(f"\r{packets:,} packets")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._wanted:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _deliver(loaded: config.Config, settings: replay.Config) -> int:
    for path in settings.files:
        source = replay.Replay(settings, path)
        try:
            source.open()
        except Unavailable as error:
            raise UserError(str(error)) from None
        source.close()
    configure_logging(loaded.agent.log_level, loaded.agent.log_format)
    agent = Agent(loaded, lambda: replay.build(settings), patient=True)
    with stop_on_signals() as stop:
        agent.run(stop)
    for worker in agent.finished_workers:
        if worker.fault:
            _complain(Path(worker.name.removeprefix("replay:")), worker.fault)
    if agent.undelivered:
        raise LuytreError(
            f"{agent.undelivered} batches are not acknowledged by {loaded.uplink.collector}; "
            f"they wait in {loaded.spool.directory} for the next run"
        )
    sys.stdout.writelines(
        f"{sample.label}: {sample.value:,} rows delivered\n"
        for sample in agent.spool.counters.samples()
        if sample.name == "rows_acknowledged"
    )
    return EXIT_USAGE if any(worker.fault for worker in agent.finished_workers) else EXIT_OK
