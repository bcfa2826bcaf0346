"""What may be asked from the network: less than on this machine, because who asks is not the owner of the files. Pure.

`readonly = 1` and `readonly.check` leave open what a server closes with users and grants:

* `DESCRIBE url(...)`, and of files: the engine looks there to learn the columns, read-only or not;
* tables of the engine about itself: `system.processes` shows what others ask, `system.stack_trace` our memory;
* functions that ask a name server, a language model or a file, also where they are only named: `* APPLY file`.

So table functions are refused but for those that make rows of nothing, functions by name, and of the tables in
`system` those are open that clients read to show what there is. All this looks at the statement without its literals
and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from luytre_collector.store import readonly
from luytre_collector.store.base import QueryRefusedError
from luytre_collector.store.guest import ACCESS_DENIED, READONLY, AnswerError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Tables of `system` that say what there is. `parts` and `tables` show where the files are, and that is no secret.
SYSTEM_TABLES = _names(
    """aggregate_function_combinators build_options clusters codecs collations columns completions contributors
    data_skipping_indices data_type_families databases dictionaries engines formats functions keywords licenses macros
    merge_tree_settings numbers numbers_mt one parts parts_columns projections settings table_engines table_functions
    tables time_zones zeros zeros_mt"""
)

#: Those of them that count what lies in the tables, whoever it belongs to.
_OF_EVERYBODY = _names("data_skipping_indices parts parts_columns projections")

#: Table functions that reach nothing.
TABLE_FUNCTIONS = _names("generate_series generateseries null numbers numbers_mt primes values view zeros zeros_mt")

#: What may follow SHOW. PROCESSLIST, GRANTS, USERS, ACCESS and the like may not.
_SHOWN = _names(
    """CHANGED CLUSTER CLUSTERS COLUMNS CREATE DATABASES DICTIONARIES ENGINES EXTENDED FIELDS FULL FUNCTIONS INDEX
    INDEXES INDICES KEYS SETTING SETTINGS TABLE TABLES VIEW VIEWS"""
)

_FUNCTION = re.compile(
    r"file|filesystem\w*|ai[a-z]+|reversednsquery|getserversetting|getmacro|getclienthttpheader|showcertificate"
    r"|generateserialid|catboostevaluate|addressto\w+|logtrace|zookeeper\w*|transaction\w*"
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[`\"]?\s*\(")
_SYSTEM = re.compile(r"(?<![A-Za-z0-9_])system[`\"]?\s*\.\s*[`\"]?([A-Za-z0-9_]*)")
_SHOW = re.compile(r"[\s(]*SHOW\s+([A-Za-z]+)", re.IGNORECASE)
_EXPLAIN = re.compile(r"[\s(]*EXPLAIN\b", re.IGNORECASE)
_SETTINGS = re.compile(
    r"(?<!\.)\bSETTINGS\s+[`\"]?\w+[`\"]?\s*(?:[=,);]|$|\b(?:FORMAT|UNION|INTERSECT|EXCEPT)\b)", re.IGNORECASE
)
_FORM = re.compile(r"\bFORMAT\s+([A-Za-z0-9]+)\s*;?\s*$", re.IGNORECASE)


def check(
    normalised: str, table_functions: Iterable[str], parameters: Mapping[str, str], limited: bool = False
) -> None:
    """AnswerError if a guest may not run the statement. `table_functions` are those that the engine has; `limited` if
    the guest does not see all rows: then neither what tells of their number."""
    try:
        readonly.check(normalised)
    except QueryRefusedError as error:
        raise AnswerError(f"{error}. (READONLY)", READONLY) from None
    shown = _SHOW.match(normalised)
    if shown and shown[1].upper() not in _SHOWN:
        raise _denied(f"SHOW {shown[1].upper()}")
    if limited and _EXPLAIN.match(normalised):
        raise _denied("EXPLAIN")
    if _SETTINGS.search(normalised):  # in a subquery the engine would pass over them in silence
        raise AnswerError("SETTINGS are not for statements here; give them in the URL. (READONLY)", READONLY)
    for table in _SYSTEM.findall(normalised):
        if table not in SYSTEM_TABLES or (limited and table in _OF_EVERYBODY):
            raise _denied(f"system.{table or '...'}")
    if "Identifier" in normalised and "system" in parameters.values():  # {a:Identifier}.processes
        raise _denied("system in a parameter")
    for word in _WORD.findall(normalised):
        if _FUNCTION.fullmatch(word.lower()):
            raise _denied(word)
    # There are two functions format: that of texts is of use, and the engine itself refuses that of tables.
    closed = {name.lower() for name in table_functions} - TABLE_FUNCTIONS - {"format"}
    for name in _CALL.findall(normalised):
        if name.lower() in closed:
            raise _denied(f"{name}()")


def form_of(normalised: str) -> str:
    """The output format that the statement names at its end; empty if it names none."""
    found = _FORM.search(normalised)
    return found[1] if found else ""


def _denied(what: str) -> AnswerError:
    return AnswerError(
        f"{what} is not for queries from the network, which read the tables of the collector. (ACCESS_DENIED)",
        ACCESS_DENIED,
    )
