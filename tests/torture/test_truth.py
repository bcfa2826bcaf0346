"""The comparison, without any program."""

from __future__ import annotations

from pathlib import Path

from tests.torture.truth import Truth, judge


def written(tmp_path: Path, text: str) -> Truth:
    path = tmp_path / "truth"
    path.write_text(text)
    return Truth.read(path)


def test_what_was_kept_must_be_there_once_and_what_was_only_tried_may(tmp_path: Path) -> None:
    truth = written(tmp_path, "tried dns 1 3\nkept dns 1 3\ntried flows 4 5\ntried logins 6 6\nlost logins 6 6\nkept d")
    assert (truth.last, truth.kept_rows()) == (6, 3)
    assert truth.open == {"flows": [(4, 5)]}
    assert judge(truth, {"dns": [1, 2, 3]}).good
    assert judge(truth, {"dns": [1, 2, 3], "flows": [5]}).good
    assert judge(truth, {"dns": [1, 3]}).missing == [("dns", 2)]
    assert judge(truth, {"dns": [1, 2, 2, 3]}).doubled == [("dns", 2)]
    assert judge(truth, {"dns": [1, 2, 3], "flows": [4, 4]}).doubled == [("flows", 4)]
    assert judge(truth, {"dns": [1, 2, 3, 9]}).foreign == [("dns", 9)]
    assert judge(truth, {"dns": [1, 2, 3], "logins": [6]}).good


def test_a_torn_last_line_says_nothing(tmp_path: Path) -> None:
    truth = written(tmp_path, "tried dns 1 3\nkept dns 1 30")
    assert truth.kept == {}
    assert truth.open == {"dns": [(1, 3)]}


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert Truth.read(tmp_path / "none").last is None


def test_what_the_agent_says_is_lost_may_be_missing_and_no_more(tmp_path: Path) -> None:
    truth = written(tmp_path, "tried dns 1 3\nkept dns 1 3\ntried dns 4 5\n")
    assert judge(truth, {"dns": [1]}, {"dns": 2}).told == 2
    assert judge(truth, {"dns": [1]}, {"dns": 4}).good, "of 4 and 5 the agent died before it knew"
    assert judge(truth, {"dns": [1]}, {"dns": 1}).missing == [("dns", 2), ("dns", 3)]
    assert not judge(truth, {"dns": [1]}, {"dns": 5}).good
    assert not judge(truth, {"dns": [1]}, {"flows": 2}).good
