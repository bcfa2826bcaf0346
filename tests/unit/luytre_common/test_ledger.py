from __future__ import annotations

import re

from luytre_common.ledger import Entry
from luytre_common.schema.ledger import LEDGER


def test_the_column_names_every_entry() -> None:
    (column,) = (one for one in LEDGER.columns if one.name == "ledger_entry")
    assert set(Entry) <= set(re.findall(r"\w+", column.meaning))
    assert column.example in list(Entry)
