"""YAML with places: the documents of a rule file, and where anything in them stands.

Aliases are refused: they can make a small file expand to gigabytes, and a rule reads better written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from luytre_collector.detect.model import Place

MAX_BYTES = 1 << 20
_MAX_DEPTH = 100


class YamlError(Exception):
    """The file cannot be read as YAML."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(message)


class _Loader(yaml.CSafeLoader):
    """Keeps dates and everything else as plain YAML has it, but refuses doubled keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise YamlError(_place(key_node.start_mark), "a key must be a plain word; quote it")
            if key in seen:
                raise YamlError(_place(key_node.start_mark), f'key "{key}" is given twice; keep one')
            seen.add(key)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data and its nodes."""

    data: dict[str, Any]
    node: yaml.MappingNode
    path: Path

    @property
    def line(self) -> int:
        """Line of its first key, from 1."""
        return self.node.start_mark.line + 1

    def place_of(self, *keys: str | int) -> Place:
        """Where the deepest of `keys` that exists stands (mapping keys and list indices)."""
        node: yaml.Node = self.node
        place = _place(self.node.start_mark)
        for key in keys:
            found: yaml.Node | None = None
            if isinstance(node, yaml.MappingNode):
                for key_node, value_node in node.value:
                    if key_node.value == key:
                        place, found = _place(key_node.start_mark), value_node
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                found = node.value[key]
                place = _place(found.start_mark)
            if found is None:
                break
            node = found
        return place

    def place_of_field(self, field: str, *under: str, value: str = "") -> Place:
        """Where `field`, with or without modifiers, is a key below `under`; or its `value`, if that is there."""
        keys = list(self._keys(field, self._below(under)))
        for _, value_node in keys:
            values = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for one in values:
                if value and isinstance(one, yaml.ScalarNode) and one.value == value:
                    return _place(one.start_mark)
        return _place(keys[0][0].start_mark) if keys else self.place_of(*under)

    def _keys(self, field: str, node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if str(key_node.value).split("|", 1)[0] == field:
                    yield key_node, value_node
                yield from self._keys(field, value_node)
        elif isinstance(node, yaml.SequenceNode):
            for one in node.value:
                yield from self._keys(field, one)

    def _below(self, keys: tuple[str, ...]) -> yaml.Node:
        node: yaml.Node = self.node
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                node = next((value for name, value in node.value if name.value == key), node)
        return node


def read(path: Path) -> list[Document]:
    """The documents of `path`. YamlError with the place if it is too large, not UTF-8, or not YAML mappings."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise YamlError(Place(1), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise YamlError(Place(raw[: error.start].count(b"\n") + 1), "not UTF-8; save the file as UTF-8") from None
    if len(raw) > MAX_BYTES:
        raise YamlError(Place(1), f"larger than {MAX_BYTES} bytes; split it")
    try:
        return _documents(text, path)
    except yaml.MarkedYAMLError as error:
        marks: list[Any] = [error.problem_mark, error.context_mark]
        place = next((_place(mark) for mark in marks if mark is not None), Place(1))
        raise YamlError(place, f"not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(Place(1), f"not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise YamlError(Place(1), "nested too deeply; flatten it") from None


def _documents(text: str, path: Path) -> list[Document]:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:  # far below what makes the parser slow, its time grows with the square of the depth
            raise YamlError(_place(event.start_mark), f"nested more than {_MAX_DEPTH} deep; flatten it")
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(_place(event.start_mark), f"alias *{event.anchor}; write the value out")
    documents = []
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
                continue
            if not isinstance(node, yaml.MappingNode):
                raise YamlError(_place(node.start_mark), "a rule is a mapping of keys to values")
            documents.append(Document(loader.construct_document(node), node, path))
    finally:
        loader.dispose()
    return documents


def _place(mark: Any) -> Place:
    return Place(int(mark.line) + 1, int(mark.column) + 1)
