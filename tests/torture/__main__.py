"""The command line of `tests.torture`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.torture import __doc__ as about
from tests.torture.run import Result, run


def show(result: Result, seed: int) -> str:
    """The figures."""
    faults = ", ".join(f"{name} {count}" for name, count in sorted(result.faults.items()))
    verdict = result.verdict
    return (
        f"rounds {result.rounds} in {result.seconds:,.0f} s (seed {seed}), {result.comparisons} comparisons\n"
        f"faults: {faults}\n"
        f"starts of programs {result.starts:,}, connections {result.connections:,}\n"
        f"rows kept by the spools {verdict.kept:,}, in the tables {verdict.stored:,},"
        f" recognised when they came again {result.duplicates:,}\n"
        f"lost {len(verdict.missing)}, doubled {len(verdict.doubled)}, never given {len(verdict.foreign)}\n"
        f"sums by minute: {result.flows_in_sums:,} of {result.flows:,} flows\n"
        f"{'PASSED' if result.good else 'FAILED'}\n"
    )


def main() -> int:
    """Run; 1 if something was lost or doubled."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200, help="faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)), help="of what is chosen and when")
    parser.add_argument("--agents", type=int, default=3, help="agents (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=1500, help="rows a second of each agent (default: %(default)s)")
    parser.add_argument("--every", type=int, default=20, help="faults between comparisons (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the folder with truth and logs")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="luytre-torture-"))
    sys.stderr.write(f"seed {arguments.seed}, in {folder}\n")
    result = run(
        folder, arguments.rounds, arguments.seed, arguments.agents, arguments.rate, arguments.every,
        lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(json.dumps(asdict(result)) if arguments.json else show(result, arguments.seed), end="")
    if result.good and not arguments.keep:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
