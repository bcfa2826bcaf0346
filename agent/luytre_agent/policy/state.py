"""What is known about policies beyond a process's life: `state.json`, mode 0600, replaced as a whole.

It says the highest version that was ever tried, the policy in force, and the one that is being tried: found at a start,
that one did not get through its trial, and is gone. Policies are kept as they came, and are judged again when read.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from luytre_common.durable import replace_file
from luytre_common.policy.document import MAX_BYTES, MAX_VERSION

from luytre_agent.policy.model import Given, Report, State

_FORMAT = 1
#: Two documents in base64, and the rest.
_MAX_FILE = 4 * MAX_BYTES


class UnreadableError(Exception):
    """The file is there and is not ours."""


@dataclass(frozen=True, slots=True)
class Known:
    """highest: no version up to it is taken. applied: in force, unless its time is over. report: the last one said."""

    highest: int = 0
    applied: Given | None = None
    trying: Given | None = None
    report: Report | None = None

    def begin(self, given: Given) -> Known:
        """A trial begins."""
        return replace(self, highest=given.version, trying=given, report=Report(given.version, "trying"))

    def keep(self, report: Report) -> Known:
        """What is tried is in force from now on."""
        return replace(self, applied=self.trying, trying=None, report=report)

    def drop(self, report: Report) -> Known:
        """What is tried is gone; the one before stays."""
        return replace(self, trying=None, report=report)

    def forget(self) -> Known:
        """What is tried was not there: it may come again, and nothing older."""
        assert self.trying is not None
        return replace(self, highest=self.trying.version - 1, trying=None, report=None)


class File:
    """The file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"

    def read(self) -> Known:
        """What was written last; nothing known if there is no file. OSError; UnreadableError if it is damaged."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MAX_FILE + 1)
        except FileNotFoundError:
            return Known()
        try:
            return _known(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnreadableError(f"{self.path}: damaged ({error})") from None

    def write(self, known: Known) -> None:
        """Write it down, to the disk. OSError: the old one is still there."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, json.dumps(_tables(known), ensure_ascii=False).encode() + b"\n")

    def set_aside(self) -> None:
        """Keep a damaged one for people. OSError."""
        self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))


def _tables(known: Known) -> dict[str, Any]:
    report = known.report
    return {
        "format": _FORMAT,
        "highest": known.highest,
        "applied": _given_table(known.applied),
        "trying": _given_table(known.trying),
        "report": report and {"version": report.version, "state": report.state, "message": report.message},
    }


def _given_table(given: Given | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {
        "version": given.version,
        "document": base64.b64encode(given.document).decode(),
        "signature": base64.b64encode(given.signature).decode(),
    }


def _known(tables: dict[str, Any]) -> Known:
    if tables["format"] != _FORMAT:
        raise ValueError(f"format {tables['format']!r}")
    report = tables["report"]
    return Known(
        _version(tables["highest"]),
        _given(tables["applied"]),
        _given(tables["trying"]),
        None
        if report is None
        else Report(_version(report["version"]), _state(report["state"]), str(report["message"])),
    )


def _version(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_VERSION:
        raise ValueError("a version that is none")
    return value


def _state(value: Any) -> State:
    found: State | None = next((one for one in get_args(State) if one == value), None)
    if found is None:
        raise ValueError("a state that is none")
    return found


def _given(table: Any) -> Given | None:
    if table is None:
        return None
    try:
        parts = [base64.b64decode(table[name], validate=True) for name in ("document", "signature")]
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    return Given(_version(table["version"]), *parts)
