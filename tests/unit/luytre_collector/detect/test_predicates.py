"""The exact check of one row, where it is written differently from how it is meant: sets, endings, deep nesting."""

import pytest
from luytre_collector.detect.predicates import check, needed
from luytre_collector.detect.tree import And, How, Node, Not, Number, Or, Present, Text
from luytre_common.schema import TABLES

IMAGE, LINE, ARGS, USER = (
    TABLES["processes"].column(name)
    for name in ("process_executable", "process_command_line", "process_args", "user_id")
)


def decide(node: Node, **values: object) -> bool:
    """The answer about a row that has these values."""
    keys = sorted(needed(node))
    return check(node, {key: at for at, key in enumerate(keys)})([values[name] for name, _ in keys])


def test_alternatives_of_one_value_are_one_test() -> None:
    words = ["/sh", "it's", '"quoted"', "\\", "\n", "ồ", "{}", "\ud800"]
    node = Or(tuple(Text(IMAGE, how, word) for how in (How.EXACT, How.ENDS, How.STARTS) for word in words))
    for word in words:
        for text in (word, f"x{word}", f"{word}x"):
            assert decide(node, process_executable=text)
    assert not decide(node, process_executable="x/shx")
    assert not decide(node, process_executable="")


def test_alternatives_of_a_list_are_asked_of_its_elements() -> None:
    node = Or((Text(ARGS, How.EXACT, "-i"), Text(ARGS, How.ENDS, ".sh")))
    assert decide(node, process_args=["sh", "x.sh"])
    assert decide(node, process_args=["sh", "-i"])
    assert not decide(node, process_args=["-i2", ".sh."])
    assert not decide(node, process_args=[])
    assert decide(Present(ARGS), process_args=[""])


@pytest.mark.parametrize("depth", [1, 59, 60, 61, 90])
def test_no_depth_is_too_much(depth: int) -> None:
    node: Node = Number(USER, "=", 0)
    for _ in range(depth):
        node = Not(And((node, Or((Number(USER, "<", 9), Text(LINE, How.CONTAINS, "x"))))))
    truth = True
    for _ in range(depth):
        truth = not truth
    assert decide(node, user_id=0, process_command_line="") is truth
