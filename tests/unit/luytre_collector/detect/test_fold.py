from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector.detect.fold import fold, fold_arrow


@given(st.text())
def test_arrow_folds_the_same_bytes(text: str) -> None:
    assert fold_arrow(pa.array([text])).to_pylist() == [fold(text)]


@given(st.text(), st.text())
def test_a_literal_stays_where_it_was(text: str, word: str) -> None:
    assert len(fold(text).encode()) == len(text.encode())
    assert fold(text + word) == fold(text) + fold(word)


def test_only_ascii() -> None:
    assert fold("AZ[`ĐİK\u212a") == "az[`Đİk\u212a"
