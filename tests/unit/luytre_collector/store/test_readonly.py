"""What may be run for a person, as the engine's own lexer leaves the statement: each of these would read a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import QueryRefusedError, Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one = embedded.EmbeddedStore(embedded.Config(directory=tmp_path_factory.mktemp("store")), readonly.Config())
    one.open()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT file('{0}')", r"file\(\)"),
        ("SELECT FILE /* x */ ('{0}')", r"file\(\)"),
        ("SELECT \"file\"('{0}')", r"file\(\)"),
        ("SELECT * APPLY file FROM (SELECT '{0}')", r"file\(\)"),
        ("SELECT * APPLY(file) FROM (SELECT '{0}')", r"file\(\)"),
        ("SELECT arrayMap(file, ['{0}'])", r"file\(\)"),
        ("SELECT * REPLACE (file(x) AS x) FROM (SELECT '{0}' AS x)", r"file\(\)"),
        ("SELECT \u201cfile\u201d('{0}')", "file|curly"),
        ("SELECT \u201cf\\x69le\u201d('{0}')", "curly"),
        ("SELECT `f\\x69le`('{0}')", "escapes"),
    ],
)
def test_no_file_is_read(store: Store, tmp_path: Path, sql: str, says: str) -> None:
    (tmp_path / "secret").write_text("bamboo")
    with pytest.raises(QueryRefusedError, match=says):
        store.query_text(sql.format(tmp_path / "secret"), "TSV")


def test_a_literal_that_mentions_it_is_only_text(store: Store) -> None:
    assert (
        store.query_text("SELECT 'file(“x”)', $$ INTO OUTFILE \\ $$ -- file()", "CSV")
        == '"file(“x”)"," INTO OUTFILE \\ "\n'.encode()
    )
