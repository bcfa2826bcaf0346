"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

#: Where packages put the configuration.
DEFAULT_CONFIG = Path("/etc/luytre/agent.toml")


def add_command(commands: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    """A sub-parser whose help begins with `summary` and ends with `examples`."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def add_config(parser: argparse.ArgumentParser, default: Path | None = DEFAULT_CONFIG) -> None:
    """`--config FILE`."""
    note = f" (default {default})" if default else ""
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help=f"the configuration{note}")


def seconds(text: str) -> float:
    """An option's value: a number of seconds, not negative, not endless."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value
