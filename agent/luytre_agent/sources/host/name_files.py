"""The files by which a host finds names, as things: resolv.conf(5), hosts(5), nsswitch.conf(5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from luytre_agent.sources.host.rtnetlink import Thing
from luytre_agent.sources.host.things import text

#: More of a file is not read.
MAX_BYTES = 4 << 20
#: A hosts file with more names is one thing: block lists have a hundred thousand.
_MAX_NAMES = 2_000


def resolv_conf(data: bytes) -> Iterator[Thing]:
    """One thing: name servers, search list, options."""
    words: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for parts in _lines(data, "#;"):
        key = {"domain": "search"}.get(parts[0], parts[0])
        if key == "search":
            words[key] = parts[1:]  # the last one counts
        elif key in words:
            words[key] += parts[1:]
    facts = {key: ",".join(values) for key, values in words.items()}
    yield Thing("resolver", ("resolver", "resolv.conf"), "", "resolv.conf", facts)


def nsswitch_conf(data: bytes) -> Iterator[Thing]:
    """One thing: where each database comes from."""
    facts = {}
    for parts in _lines(data, "#"):
        database, colon, rest = " ".join(parts).partition(":")
        if colon and database.isidentifier():
            facts[database] = " ".join(rest.split())
    yield Thing("resolver", ("resolver", "nsswitch.conf"), "", "nsswitch.conf", facts)


def hosts(data: bytes) -> Iterator[Thing]:
    """One thing per name; one for the whole if there are too many."""
    addresses: dict[str, list[str]] = {}
    for parts in _lines(data, "#"):
        for name in parts[1:]:
            known = addresses.setdefault(name.lower(), [])
            if parts[0] not in known:
                known.append(parts[0])
    if len(addresses) > _MAX_NAMES:
        facts = {"names": str(len(addresses)), "sha256": hashlib.sha256(data).hexdigest()}
        yield Thing("hosts", ("hosts",), "", "hosts", facts)
        return
    for name, found in addresses.items():
        yield Thing("hosts", ("hosts", name), "", name, {"address": ",".join(found)})


#: Path under the root, what it makes a thing of, and of which kind.
FILES: dict[str, tuple[str, Callable[[bytes], Iterator[Thing]]]] = {
    "etc/resolv.conf": ("resolver", resolv_conf),
    "etc/nsswitch.conf": ("resolver", nsswitch_conf),
    "etc/hosts": ("hosts", hosts),
}


def _lines(data: bytes, comments: str) -> Iterator[list[str]]:
    for line in text(data).split("\n"):
        for mark in comments:
            line = line.split(mark, 1)[0]  # noqa: PLW2901  # what is left of it
        if parts := line.split():
            yield parts
