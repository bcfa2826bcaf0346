"""One question, one session: a connection of its own, so that no guest's settings outlive the question.

A connection of chDB takes about a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from luytre_collector.store import access, ddl, readonly, sql
from luytre_collector.store.errors import code_of, one_line
from luytre_collector.store.guest import ACCESS_DENIED, UNKNOWN_FORMAT, Answer, AnswerError, Question, check, limits


def answer(connection: Any, question: Question, config: readonly.Config, table_functions: Sequence[str]) -> Answer:
    """Ask on a fresh connection, which the caller closes. AnswerError says why not, in ClickHouse's words."""
    limited = bool(question.organisations)
    if not _may_have(question.form, limited):
        raise AnswerError(f"Unknown format {question.form[:64]!r}. (UNKNOWN_FORMAT)", UNKNOWN_FORMAT)
    # What clients call default is what people see: the tables with their local times.
    database = sql.LOCAL_DATABASE if question.database in ("", "default") else question.database
    zone = "UTC" if database == sql.DATABASE else config.time_zone
    try:
        seen = _seen(connection, question.organisations) if limited else ""
        chosen, ignored = limits.settings(config, question.settings, zone, seen)
        parameters = {"statement": sql.parameter(question.sql)}
        normal = _text(connection.query(readonly.NORMALISE, "TSVRaw", parameters))
        check.check(normal, table_functions, question.parameters, limited)
        if not _may_have(form := check.form_of(normal) or question.form, limited):
            raise AnswerError(f"Unknown format {form[:64]!r}. (UNKNOWN_FORMAT)", UNKNOWN_FORMAT)
        if database == "system":
            raise AnswerError("system cannot be the database; name its tables in full. (ACCESS_DENIED)", ACCESS_DENIED)
        connection.query(f"SET {sql.settings_clause({**chosen, 'allow_python_table_function': 0})}", "Null")
        connection.query(f"USE {ddl.name(database)}", "Null")
        connection.query("SET readonly = 1", "Null")
        result = connection.query(question.sql, question.form, dict(question.parameters))
    except RuntimeError as error:
        raise AnswerError(one_line(str(error)), code_of(str(error))) from None
    return Answer(
        body=bytes(result.bytes()),
        form=form,
        zone=str(chosen["session_timezone"]),
        normal=" ".join(normal.split()),
        ignored=ignored,
        result_rows=result.rows_read(),
        read_rows=0 if limited else result.storage_rows_read(),
        read_bytes=0 if limited else result.storage_bytes_read(),
        elapsed_s=result.elapsed(),
    )


def _seen(connection: Any, organisations: Sequence[str]) -> str:
    """What a guest of these organisations may see, as of now."""
    names = connection.query(access.AGENTS_OF, "TSVRaw", {"names": sql.parameter(list(organisations))})
    connection.query(f"SET max_query_size = {_LONGEST_SETTING}", "Null")
    return access.seen(organisations, _text(names).split())


#: Bytes of the statement that says what a guest may see: a hundred thousand agents with long names.
_LONGEST_SETTING = 16 << 20


def _may_have(form: str, limited: bool) -> bool:
    """Whether this may be a format; those with progress tell how many rows were read."""
    known = form.isascii() and form.isalnum() and form.lower() not in _OF_CHDB
    return known and not (limited and "progress" in form.lower())


#: What chDB takes for a format besides those of the engine, and gives Python objects for.
_OF_CHDB = frozenset({"arrowtable", "dataframe", "datastore", "debug"})


def _text(result: Any) -> str:
    return bytes(result.bytes()).decode("utf-8", "replace")
