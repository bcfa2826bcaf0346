"""How both programs end: exit code 0, 1 or 2, and for every fault one line on standard error, safe for a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from luytre_common.errors import EXIT_FAILURE, EXIT_OK, LuytreError


def printable(text: str) -> str:
    """The text without anything that a terminal would obey: control characters, line ends and marks that turn the
    direction of text become `\\u001b`. What hosts say of themselves ends up in messages."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def guarded(program: str, command: Callable[[], int]) -> int:
    """Run a command of `program`; the exit code. Faults of people and of the machine become a line, no traceback."""
    if sys.stdout is None:  # started with standard output closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the life of the process
    try:
        code = command()
        sys.stdout.flush()
    except LuytreError as error:
        for line in str(error).splitlines():
            _say(program, line)
        return error.exit_code
    except BrokenPipeError:
        _drop_output()  # whoever read it has enough
        return EXIT_OK
    except OSError as error:
        _drop_output()
        thing = error.filename if isinstance(error.filename, str) else "output"
        _say(program, f"{thing}: {error.strerror or error}; make room or choose another place")
        return EXIT_FAILURE
    except KeyboardInterrupt:
        _drop_output()
        _say(program, "interrupted")
        return EXIT_FAILURE
    return code


def _say(program: str, line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{program}: {printable(line)}\n")


def _drop_output() -> None:
    """Python flushes standard output once more at the end, and would complain again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
