"""Documents of event rules to event rules: the tables of the log source, and one tree for each of them."""

from __future__ import annotations

from luytre_collector.detect.head import Complain, examples, head
from luytre_collector.detect.logsource import routes
from luytre_collector.detect.model import EventRule, Fault, Place
from luytre_collector.detect.route import Route
from luytre_collector.detect.sigmatree import Parsed, Reading, parse
from luytre_collector.detect.tree import FALSE, Node, depth
from luytre_collector.detect.tree import leaves as leaves_of
from luytre_collector.detect.yamlfile import Document

MAX_LEAVES = 10_000
MAX_DEPTH = 50


def event_rules(document: Document, faults: list[Fault], notes: list[Fault]) -> tuple[EventRule, ...]:
    """A Sigma rule about one event, once for each table that can hold such events; none after appending its faults.

    notes: gets what loads and yet can never match.
    """
    before = len(faults)

    def complain(message: str, place: Place) -> None:
        faults.append(Fault(document.path, place, message))

    about = head(document, complain)
    for key, remedy in (
        ("filter", "filters are not supported; put the exception into the rule's condition"),
        ("action", "old multi-document rules are not supported; write one rule per document"),
    ):
        if key in document.data:
            complain(f"{key}: {remedy}", document.place_of(key))
            return ()
    source = _routes(document, complain)
    parsed = parse(document, complain)
    if parsed is None or not source:
        return ()
    readings = _readings(document, source, parsed)
    for one in readings:
        for message, place in one.complaints:
            complain(message, place)
    held = examples(document, complain, rows_each=False)
    if len(faults) > before or about is None:
        return ()
    useless = _useless(readings)
    able = [one for one in readings if one.tree != FALSE]
    if not able:
        for message, place in useless or [
            (
                "detection: can never be true; look for numbers outside the column's range",
                document.place_of("detection"),
            )
        ]:
            complain(message, place)
        return ()
    for one in able:
        _check_size(one.tree, document, complain)
    if len(faults) > before:
        return ()
    notes.extend(Fault(document.path, place, message) for message, place in useless)
    return tuple(EventRule(about, one.route.table, one.tree, one.shown(), examples=held) for one in able)


def _routes(document: Document, complain: Complain) -> tuple[Route, ...]:
    source = document.data.get("logsource")
    where = document.place_of("logsource")
    if not isinstance(source, dict):
        complain("logsource: missing; give category, product or service", where)
        return ()
    parts = [source.get(key) for key in ("category", "product", "service")]
    if any(part is not None and not isinstance(part, str) for part in parts):
        complain("logsource: category, product and service are words", where)
        return ()
    category, product, service = (part.lower() if part else None for part in parts)
    found = routes(category, product, service)
    if not found:
        named = ", ".join(f"{key}: {source[key]}" for key in ("category", "product", "service") if key in source)
        complain(f"logsource: no table holds {named or 'nothing'}; `rules fields` lists what is known", where)
    return found


def _readings(document: Document, source: tuple[Route, ...], parsed: Parsed) -> list[Reading]:
    """The rule as each table has it that shares the log source; else as the first that knows all its fields."""
    every = [Reading(document, one, source, parsed) for one in source]
    if source[0].shared:
        return every
    return [next((one for one in every if not one.unknown), every[0])]


def _useless(readings: list[Reading]) -> list[tuple[str, Place]]:
    """What the rule asks for and no table can say: (message, place)."""
    found = {
        asked: said
        for one in readings
        for asked, said in one.never.items()
        if all(asked in other.never for other in readings if other.says(asked[0]))
    }
    return list(found.values())


def _check_size(tree: Node, document: Document, complain: Complain) -> None:
    if sum(1 for _ in leaves_of(tree)) > MAX_LEAVES:
        complain(f"detection: more than {MAX_LEAVES} comparisons; split the rule", document.place_of("detection"))
    if depth(tree) > MAX_DEPTH:
        where = document.place_of("detection", "condition")
        complain(f"detection: nested more than {MAX_DEPTH} deep; flatten it", where)
