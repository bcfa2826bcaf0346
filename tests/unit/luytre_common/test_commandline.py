from __future__ import annotations

import subprocess
import sys

import pytest
from luytre_common.commandline import guarded, printable
from luytre_common.errors import ConfigError, LuytreError, Unavailable, UserError

# A test run in the background is deaf to SIGINT, and so are its children unless they listen again.
_BEGIN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from luytre_common.commandline import guarded; sys.exit(guarded('p', lambda: "
)


def raising(error: BaseException) -> int:
    def command() -> int:
        raise error

    return guarded("prog", command)


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UserError("a: b"), 2, ["prog: a: b"]),
        (LuytreError("no"), 1, ["prog: no"]),
        (Unavailable("reason", "remedy"), 1, ["prog: reason; remedy"]),
        (ConfigError(None, ["one", "two"]), 2, ["prog: one", "prog: two"]),
        (UserError("\x1b[31mred\x07\u202e"), 2, ["prog: \\u001b[31mred\\u0007\\u202e"]),
    ],
)
def test_every_fault_is_a_line(
    error: LuytreError, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", lines)


def test_what_is_fine_stays() -> None:
    assert guarded("prog", lambda: 0) == 0
    assert printable("lũy tre — 竹") == "lũy tre — 竹"


@pytest.mark.parametrize(
    ("code", "shell", "expected", "said"),
    [
        (
            "print('x') or 0))",
            ">/dev/full",
            1,
            "p: output: No space left on device; make room or choose another place\n",
        ),
        (
            "open('/proc/none')))",
            "",
            1,
            "p: /proc/none: No such file or directory; make room or choose another place\n",
        ),
        ("print('x') or 0))", ">&-", 0, ""),
        ("print('x' * 9999999) or 0))", "| true", 0, ""),
        ("__import__('os').kill(__import__('os').getpid(), 2)))", "", 1, "p: interrupted\n"),
    ],
)
def test_the_machine_is_no_traceback_either(code: str, shell: str, expected: int, said: str) -> None:
    command = f'{sys.executable} -c "{_BEGIN}{code}" {shell}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (expected, said)
