# ruff: noqa: E501
"""What loads, what does not, and what people are told about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.rules import load
from luytre_collector.detect.sql import condition
from luytre_common.errors import UserError

HEAD = "title: T\nid: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d{:02}\n"
SOURCES = {
    "processes": "logsource: {category: process_creation, product: linux}\n",
    "flows": "logsource: {category: network_connection}\n",
    "dns": "logsource: {category: dns}\n",
}


def loaded(folder: Path, *bodies: str) -> RuleSet:
    for number, body in enumerate(bodies):
        (folder / f"{number}.yml").write_text(HEAD.format(number) + body, encoding="utf-8")
    return load([folder])


def where(folder: Path, detection: str, table: str = "processes") -> str:
    """The SQL of a detection, without what the log source implies."""
    rules = loaded(folder, SOURCES[table] + "detection:\n" + detection)
    assert rules.faults == ()
    return condition(rules.events[0].tree).replace("lower(event_action) = 'exec' AND ", "")


@pytest.mark.parametrize(
    ("selection", "sql"),
    [
        ("Image: /bin/SH", "(lower(process_executable) = '/bin/sh')"),
        ("Image|endswith: ['/sh', /b]", "((endsWith(lower(process_executable), '/sh') OR endsWith(lower(process_executable), '/b')))"),
        ("CommandLine|contains|all: [a, b]", "(position(lower(process_command_line), 'a') > 0 AND position(lower(process_command_line), 'b') > 0)"),
        ("CommandLine|cased: Ab", "(process_command_line = 'Ab')"),
        (r"CommandLine: 'a\*b'", "(lower(process_command_line) = 'a*b')"),
        ("CommandLine: 'a*b?'", r"(match(lower(process_command_line), '(\x3Fs)^a.*b.$'))"),
        ("CommandLine: '*'", "(process_command_line != '')"),
        ("CommandLine: ''", "(NOT process_command_line != '')"),
        ("CommandLine: null", "(NOT process_command_line != '')"),
        ("CommandLine|exists: false", "(NOT process_command_line != '')"),
        ("CommandLine|re|i: 'a+'", r"((process_command_line != '' AND match(process_command_line, '(\x3Fi-s)a+')))"),
        ("ProcessId|gte: 5", "(process_pid >= 5)"),
        ("ProcessId: '5'", "(process_pid = 5)"),
        ("User|neq: root", "(NOT lower(user_name) = 'root')"),
        ("process_executable|fieldref: comm", "((process_executable != '' AND process_name != '' AND lower(toString(process_executable)) = lower(toString(process_name))))"),
        ("CommandLine|base64offset|contains: hello", "((position(lower(process_command_line), 'agvsbg') > 0 OR position(lower(process_command_line), 'hlbgxv') > 0 OR position(lower(process_command_line), 'ozwxsb') > 0))"),
        ("CommandLine|windash|contains: ' -e '", r"((position(lower(process_command_line), ' -e ') > 0 OR position(lower(process_command_line), ' /e ') > 0 OR position(lower(process_command_line), ' \xE2\x80\x93e ') > 0 OR position(lower(process_command_line), ' \xE2\x80\x94e ') > 0 OR position(lower(process_command_line), ' \xE2\x80\x95e ') > 0))"),
        ("User|endswith: \"'); --\"", r"(endsWith(lower(user_name), '\x27); --'))"),
    ],
)  # fmt: skip
def test_modifiers(tmp_path: Path, selection: str, sql: str) -> None:
    assert where(tmp_path, f"  a: {{{selection}}}\n  condition: a\n") == sql


@pytest.mark.parametrize(
    ("selection", "sql"),
    [
        ("dst_ip|cidr: 10.0.0.0/8", "(destination_ip != toIPv6('::') AND destination_ip >= toIPv6('::ffff:10.0.0.0') AND destination_ip <= toIPv6('::ffff:10.255.255.255'))"),
        ("dst_ip: fe80::1", "(destination_ip != toIPv6('::') AND destination_ip >= toIPv6('fe80::1') AND destination_ip <= toIPv6('fe80::1'))"),
        ("dst_port: [22, 80]", "(destination_port = 22 OR destination_port = 80)"),
        ("orig_bytes|gt: 1.5", "source_payload_bytes > 1"),
        ("duration|lt: 10", "flow_duration < 10"),
    ],
)  # fmt: skip
def test_network_values(tmp_path: Path, selection: str, sql: str) -> None:
    assert where(tmp_path, f"  a: {{{selection}}}\n  condition: a\n", "flows") == sql


def test_conditions(tmp_path: Path) -> None:
    text = "  a1: {User: x}\n  a2: {User: y}\n  _c: {User: z}\n  condition: 1 of a* and not _c\n"
    assert (
        where(tmp_path, text) == "((lower(user_name) = 'x' OR lower(user_name) = 'y') AND NOT lower(user_name) = 'z')"
    )


def test_keywords_look_anywhere(tmp_path: Path) -> None:
    sql = where(tmp_path, "  k: [Evil]\n  condition: k\n", "dns")
    assert "position(lower(dns_question_name), 'evil') > 0" in sql
    assert "arrayExists(x -> position(lower(x), 'evil') > 0, dns_answers_data)" in sql
    assert "agent_id" not in sql


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        (SOURCES["processes"] + "detection:\n  a:\n    Imag: x\n  condition: a\n", 6, "did you mean Image?"),
        (SOURCES["processes"] + "detection:\n  a:\n    User|foo: x\n  condition: a\n", 4, "Unknown modifier"),
        (SOURCES["processes"] + "detection:\n  a:\n    User|expand: '%admins%'\n  condition: a\n", 6, "placeholder %admins% has no value"),
        (SOURCES["processes"] + "detection:\n  a:\n    CommandLine|re: '(?=a)'\n  condition: a\n", 6, "CommandLine: not an RE2 pattern: invalid perl operator: (?=; write it without lookaround"),
        (SOURCES["processes"] + "detection:\n  a:\n    ProcessId|contains: x\n  condition: a\n", 6, "is a number"),
        (SOURCES["processes"] + "detection:\n  a:\n    ProcessId: -5\n  condition: a\n", 4, "can never be true"),
        (SOURCES["processes"] + "detection:\n  a:\n    User: x\n  condition: b\n", 7, "b"),
        (SOURCES["processes"] + "detection:\n  a:\n    User: x\n  b: {Image: y}\n  condition: " + "a and (b or " * 300 + "a" + ")" * 300 + "\n", 8, "deep"),
        (SOURCES["flows"] + "detection:\n  a:\n    dst_ip: 10.0.0.0/8\n  condition: a\n", 6, "destination_ip|cidr"),
        (SOURCES["flows"] + "detection:\n  a:\n    dst_ip: nine\n  condition: a\n", 6, "no IP address"),
        ("logsource: {category: antivirus}\ndetection: {a: {b: c}, condition: a}\n", 3, "no table holds category: antivirus"),
        ("detection: {a: {b: c}, condition: a}\n", 1, "logsource: missing"),
        (SOURCES["processes"] + "detection: [1]\n", 4, "detection"),
        (SOURCES["processes"] + "detection:\n  off: {User: x}\n  condition: off\n", 4, "a name is read as False; quote it"),
        (SOURCES["processes"] + "level: severe\ndetection: {a: {User: x}, condition: a}\n", 4, "not one of informational"),
        (SOURCES["processes"] + "filter: {}\n", 4, "filters are not supported"),
        ("correlation: 5\n", 3, "not a mapping"),
        ("a: &x [1]\nb: *x\n", 4, "write the value out"),
        ("title: again\n", 3, "given twice"),
        ("a: [b\n", 4, "not YAML"),
    ],
)  # fmt: skip
def test_faults_name_file_line_and_remedy(tmp_path: Path, body: str, line: int, said: str) -> None:
    good = SOURCES["processes"] + "detection: {a: {User: x}, condition: a}\n"
    rules = loaded(tmp_path, body, good)
    assert len(rules.events) == 1, "one bad rule is one bad rule"
    assert rules.faults
    fault = next((one for one in rules.faults if said in one.message), rules.faults[0])
    assert said in fault.message
    assert fault.path == tmp_path / "0.yml"
    assert fault.place.line == line
    assert str(fault).startswith(f"{tmp_path}/0.yml:{line}:{fault.place.column}: ")


def test_a_fault_has_a_column(tmp_path: Path) -> None:
    body = SOURCES["processes"] + "detection:\n  a: {User: x, OriginalFileName: y}\n  condition: a\n"
    (fault,) = loaded(tmp_path, body).faults
    assert fault.place == (5, 16)
    assert fault.message.startswith("OriginalFileName: table processes has no such field; ")


def test_a_bad_pattern_is_told_once_and_by_us(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    body = SOURCES["processes"] + "detection:\n  a:\n    CommandLine|re: '(a'\n  condition: a\n"
    (fault,) = loaded(tmp_path, body).faults
    assert fault.place == (6, 5)
    assert "missing )" in fault.message
    assert capfd.readouterr().err == "", "RE2 writes to the descriptor, past Python"


def test_every_fault_of_a_rule_at_once(tmp_path: Path) -> None:
    rules = loaded(tmp_path, SOURCES["flows"] + "level: x\ndetection:\n  a: {Imag: x, dst_port: y}\n  condition: a\n")
    assert len(rules.faults) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"\0",
        b"- 1\n",
        b"[" * 20000,
        b"[" * 200_000,
        b"a" * (1 << 21),
        b"? [a]\n: b\n",
        b"!!python/object:os.system x: y",
    ],
)
def test_bytes_that_are_no_rules(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.yml").write_bytes(raw)
    rules = load([tmp_path])
    assert len(rules) == 0
    assert rules.faults


def test_faults_are_safe_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m.yml").write_bytes(b"- 1\n")
    (fault,) = load([tmp_path]).faults
    assert str(fault) == f"{tmp_path}/a\\u000a\\u001b[31m.yml:1:1: a rule is a mapping of keys to values"


def test_taken_identities(tmp_path: Path) -> None:
    good = SOURCES["processes"] + "name: n\ndetection: {a: {User: x}, condition: a}\n"
    rules = loaded(tmp_path, good, good)
    assert [fault.path.name for fault in rules.faults] == ["1.yml"]
    assert "already taken" in rules.faults[0].message


def test_fields_are_a_hint(tmp_path: Path) -> None:
    body = SOURCES["processes"] + "detection: {a: {Image: x}, condition: a}\nfields: [User, Nothing, User]\n"
    rules = loaded(tmp_path, body)
    assert rules.faults == ()
    assert [column.name for column in rules.events[0].fields] == ["user_name"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give an existing one"):
        load([tmp_path / "none"])


CORRELATION = """name: c
correlation:
  type: {type}
  rules: [{rules}]
  group-by: [{group}]
  timespan: {span}
  condition: {condition}
"""


def correlated(folder: Path, **changed: str) -> RuleSet:
    given = {"type": "event_count", "rules": "base", "group": "User", "span": "1m", "condition": "{gte: 2}", **changed}
    base = "name: base\n" + SOURCES["processes"] + "detection: {a: {Image: x}, condition: a}\n"
    return loaded(folder, base, CORRELATION.format(**given) + changed.get("more", ""))


def test_correlation_silences_its_base(tmp_path: Path) -> None:
    rules = correlated(tmp_path)
    assert rules.faults == ()
    (one,) = rules.correlations
    assert (one.span_us, one.operator, one.threshold) == (60_000_000, ">=", 2)
    assert [column.name for column in one.bases[0].group_by] == ["user_name"]
    assert not rules.events[0].alerts


def test_generate_lets_the_base_speak(tmp_path: Path) -> None:
    assert correlated(tmp_path, more="  generate: true\n").events[0].alerts


def test_aliases(tmp_path: Path) -> None:
    rules = correlated(tmp_path, group="who", more="  aliases: {who: {base: ParentImage}}\n")
    assert rules.correlations[0].bases[0].group_by[0].name == "process_parent_executable"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rules": "bose"}, "did you mean base?"),
        ({"type": "value_percentile"}, "is not supported"),
        ({"group": "Nobody"}, "has no field Nobody"),
        ({"span": "1y"}, "is not 1s to 7d"),
        ({"condition": "{gte: 1, lte: 5}"}, "exactly one"),
        ({"type": "value_count"}, "needs field"),
        ({"type": "value_sum", "condition": "{gte: 1, field: User}"}, "is no number"),
        ({"condition": "{gte: true}"}, "exactly one"),
        ({"condition": "{gte: .nan}"}, "exactly one"),
        ({"more": "  groupby: x\n"}, "unknown key"),
    ],
)
def test_correlation_faults(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    rules = correlated(tmp_path, **changed)
    assert rules.correlations == ()
    assert any(said in fault.message for fault in rules.faults), rules.faults
