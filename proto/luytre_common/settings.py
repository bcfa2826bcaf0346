"""TOML files to frozen dataclasses, with every fault named at once.

Each stage declares its own `Config` dataclass beside its code; the program's config only composes them:

    @dataclass(frozen=True)
    class Config:
        \"\"\"The disk spool.\"\"\"

        directory: Path = setting(Path("/var/lib/luytre-agent/spool"), "where unsent batches are kept")
        max_bytes: int = setting(1 << 30, "quota, bytes", at_least(1 << 20))

Types: bool, int, float, str, Path, Literal of strings, list of these, nested dataclasses, lists of dataclasses
(arrays of tables). `load` reads and checks, `dump` writes the effective configuration back as commented TOML.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from luytre_common.errors import ConfigError, UserError

T = TypeVar("T")

#: A check returns what is wrong with a value, as the end of the sentence "KEY: VALUE ...", or None.
Check = Callable[[Any], str | None]


def setting(default: Any, meaning: str, *checks: Check) -> Any:
    """A field with its default, one line of meaning for `dump`, and checks. Lists and dicts are copied per instance."""
    metadata = {"meaning": meaning, "checks": checks}
    if isinstance(default, list | dict | set) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: _copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def required(meaning: str, *checks: Check) -> Any:
    """A field that the file must give."""
    return dataclasses.field(metadata={"meaning": meaning, "checks": checks})


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, list | dict | set) else value


def at_least(limit: float) -> Check:
    """A number not below `limit`."""
    return lambda value: None if value >= limit else f"is too small; the least is {limit}"


def at_most(limit: float) -> Check:
    """A number not above `limit`."""
    return lambda value: None if value <= limit else f"is too large; the most is {limit}"


def power_of_two(value: int) -> str | None:
    """1, 2, 4, 8, ..."""
    return None if value.bit_count() == 1 else "is not a power of two"


def not_empty(value: Any) -> str | None:
    """A string or list with something in it."""
    return None if value else "must not be empty"


_PORT = re.compile("[0-9]{1,5}")


def host_port(value: str) -> str | None:
    """`HOST:PORT`, IPv6 in brackets; port 0 asks the system for a free one."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not _PORT.fullmatch(port) or int(port) > 65535:
        return "is not HOST:PORT (IPv6 in brackets: [::1]:7071)"
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return "is not HOST:PORT (IPv6 in brackets: [::1]:7071)"
    return None


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. UserError, naming file, line and column, if it cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give an existing file with --config") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not TOML: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except ValueError as error:  # also numbers of thousands of digits
        raise UserError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not TOML: nested too deeply; flatten it") from None


def load(kind: type[T], path: Path) -> T:
    """Read `path` into a `kind`. ConfigError names every fault: unknown keys, wrong types, failed checks."""
    return build(kind, read_toml(path), path)


def build(kind: type[T], tables: dict[str, Any], path: Path | None = None) -> T:
    """Make a `kind` from parsed tables; see `load`."""
    faults: list[str] = []
    value = _build(kind, tables, "", faults)
    if faults:
        raise ConfigError(path, faults)
    return typing.cast(T, value)


def overlay(config: T, tables: dict[str, Any]) -> T:
    """`config` with what the tables give in place of its own values, each checked as by `load`; everything else stays.
    ConfigError names every fault."""
    faults: list[str] = []
    value = _overlay(config, tables, "", faults)
    if faults:
        raise ConfigError(None, faults)
    return typing.cast(T, value)


def _overlay(config: Any, tables: dict[str, Any], prefix: str, faults: list[str]) -> Any:
    hints = get_type_hints(type(config))
    fields = {field.name: field for field in dataclasses.fields(config)}
    given: dict[str, Any] = {}
    for name, value in tables.items():
        key = f"{prefix}{name}"
        if name not in fields:
            faults.append(f"{key}: unknown key; known here: {', '.join(sorted(fields))}")
        elif dataclasses.is_dataclass(hints[name]) and isinstance(value, dict):
            given[name] = _overlay(getattr(config, name), value, f"{key}.", faults)
        else:
            converted = _convert(hints[name], value, key, faults)
            if converted is not _BROKEN:
                given[name] = converted
                _check(fields[name], converted, key, faults)
    return dataclasses.replace(config, **given)


_BROKEN = object()


def _build(kind: Any, tables: dict[str, Any], prefix: str, faults: list[str]) -> Any:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in tables:
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(fields))}"
            faults.append(f"{prefix}{key}: unknown key; {hint}")
    given: dict[str, Any] = {}
    before = len(faults)
    for name, field in fields.items():
        if name in tables:
            value = _convert(hints[name], tables[name], f"{prefix}{name}", faults)
            if value is not _BROKEN:
                given[name] = value
                _check(field, value, f"{prefix}{name}", faults)
        elif dataclasses.is_dataclass(hints[name]):
            given[name] = _build(hints[name], {}, f"{prefix}{name}.", faults)
        elif field.default is MISSING and field.default_factory is MISSING:
            faults.append(f"{prefix}{name}: missing; {field.metadata.get('meaning', 'it has no default')}")
    return kind(**given) if len(faults) == before else _BROKEN


def _check(field: Field[Any], value: Any, key: str, faults: list[str]) -> None:
    for check in field.metadata.get("checks", ()):
        complaint = check(value)
        if complaint:
            faults.append(f"{key}: {_show(value)} {complaint}")


def _convert(hint: Any, value: Any, key: str, faults: list[str]) -> Any:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, dict):
            return _build(hint, value, f"{key}.", faults)
    elif origin is Literal:
        if value in get_args(hint):
            return value
        faults.append(f"{key}: {_show(value)} is not one of {', '.join(map(str, get_args(hint)))}")
        return _BROKEN
    elif origin is list:
        if isinstance(value, list):
            item = get_args(hint)[0]
            values = [_convert(item, one, f"{key}[{index}]", faults) for index, one in enumerate(value)]
            return _BROKEN if any(one is _BROKEN for one in values) else values
    elif origin in (typing.Union, types.UnionType):
        inner = next(one for one in get_args(hint) if one is not type(None))
        return _convert(inner, value, key, faults)
    elif hint is Path:
        if isinstance(value, str):
            if value and "\0" not in value:
                return Path(value)
            faults.append(f"{key}: {_show(value)} cannot be a path: it is empty or has a zero byte")
            return _BROKEN
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value) is hint:
        if hint is int and not -(2**63) <= value < 2**63:
            faults.append(f"{key}: {_show(value)} does not fit into 64 bits; give a smaller number")
            return _BROKEN
        return value
    faults.append(f"{key}: {_show(value)} is not {_type_name(hint)}")
    return _BROKEN


def _type_name(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return "a table"
    if get_origin(hint) is list:
        return "a list"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a string", Path: "a path"}.get(
        hint, str(hint)
    )


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        escaped = str(value).translate(_ESCAPES)
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_show, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_show(one)}" for key, one in value.items()) + "}"
    return str(value)


_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\u{code:04x}" for code in [*range(32), 127]}


def dump(config: Any) -> str:
    """The effective configuration as TOML that `load` reads back to an equal one, each key under its meaning."""
    return "\n".join(_dump(config, "")).strip() + "\n"


def _dump(config: Any, prefix: str) -> Iterator[str]:
    nested: list[tuple[str, Any]] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) or (
            isinstance(value, list) and value and dataclasses.is_dataclass(value[0])
        ):
            nested.append((field.name, value))
        elif value is None:
            yield f"# {field.name}: not set; {field.metadata.get('meaning', '')}"
        else:
            if meaning := field.metadata.get("meaning"):
                yield f"# {meaning}"
            yield f"{field.name} = {_show(value)}"
    for name, value in nested:
        for one in value if isinstance(value, list) else [value]:
            header = f"[[{prefix}{name}]]" if isinstance(value, list) else f"[{prefix}{name}]"
            doc = (type(one).__doc__ or "").strip().splitlines()
            yield ""
            if doc:
                yield f"# {doc[0]}"
            yield header
            yield from _dump(one, f"{prefix}{name}.")
