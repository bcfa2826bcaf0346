from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.things import MAX_TEXT, MAX_VALUE, Change, differences, pairs, text


def test_every_difference_once() -> None:
    before = {"a": {"x": "1"}, "b": {"x": "1"}, "c": {"x": "1"}}
    after = {"b": {"x": "1"}, "c": {"x": "2"}, "d": {"x": "1"}}
    assert list(differences(before, after)) == [
        Change("removed", "a", {"x": "1"}, {}),
        Change("changed", "c", {"x": "1"}, {"x": "2"}),
        Change("added", "d", {}, {"x": "1"}),
    ]


states = st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=3))


@given(states, states)
def test_the_differences_lead_from_one_to_the_other(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]
) -> None:
    state = dict(before)
    for change in differences(before, after):
        assert state.pop(change.key, {}) == change.before
        if change.action != "removed":
            state[change.key] = dict(change.after)
    assert state == after


def test_pairs_are_sorted_and_empty_ones_left_out() -> None:
    assert pairs({"mtu": "1500", "mac": "52-54-00-12-34-56", "type": ""}) == "mac=52-54-00-12-34-56 mtu=1500"


def test_a_value_cannot_look_like_a_pair() -> None:
    assert pairs({"shell": "/bin/x uid=0"}) == 'shell="/bin/x uid=0"'
    assert pairs({"shell": 'a" uid=0 "'}) == 'shell="a\\" uid=0 \\""'
    assert pairs({"shell": "a\nb\x1b"}) == 'shell="a\\u000ab\\u001b"'


def test_texts_are_bounded() -> None:
    assert len(pairs({"a": "x" * 10_000})) == MAX_VALUE + 2
    assert len(pairs({str(at): "x" * 1000 for at in range(100)})) == MAX_TEXT


@given(st.binary())
def test_any_bytes_are_text(data: bytes) -> None:
    text(data).encode()
