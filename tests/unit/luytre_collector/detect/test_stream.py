from __future__ import annotations

import time
from pathlib import Path

import luytre_rules
import pyarrow as pa
import pytest
from luytre_collector.detect import stream
from luytre_collector.detect.logsource import ROUTES, field
from luytre_collector.detect.model import EventRule, RuleSet
from luytre_collector.detect.rules import load
from luytre_collector.detect.stream import Matcher
from luytre_collector.detect.tree import How, Node, Number, Regex, Text, conj, neg
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.support.rule_trees import batch, rule

LINE = TABLES["processes"].column("process_command_line")
IMAGE = TABLES["processes"].column("process_executable")
PID = TABLES["processes"].column("process_pid")
EVIL = Text(LINE, How.CONTAINS, "evil")


def rules(*trees: Node) -> RuleSet:
    return RuleSet(events=tuple(rule(number, "processes", tree) for number, tree in enumerate(trees)))


def test_an_alert_says_what_who_and_which_row() -> None:
    given = {
        "process_command_line": "run EVIL now", "process_executable": "/bin/x", "user_name": "lan", "host_name": "h",
        "event_time": 5, "sequence": 7,
    }  # fmt: skip
    (alert,) = Matcher(rules(EVIL), lambda: 12.5).scan("processes", batch("processes", [given]))
    assert (alert.event_time, alert.alert_created, alert.rule_kind) == (5, 12_500_000, "event")
    assert (alert.user_name, alert.host_name, alert.agent_id) == ("lan", "h", "a")
    assert alert.evidence["process_command_line"] == "run EVIL now"
    assert alert.evidence_ids == ("processes/a/b/processes/7",)


@pytest.mark.parametrize("table", sorted({one.table for one in ROUTES}))
def test_rows_of_every_table_that_a_rule_may_name_make_alerts(table: str) -> None:
    sequence = TABLES[table].column("sequence")
    about_one = rule(1, table, Number(sequence, "=", 0))
    (alert,) = Matcher(RuleSet(events=(about_one,)), time.time).scan(table, batch(table, [{}]))
    assert alert.evidence_ids == (f"{table}/a/b/{table}/0",)


def test_an_alert_about_an_argument_shows_it() -> None:
    given = [{"process_args": ["chmod", "u+S", "/bin/sh"]}, {"process_args": ["chmod"]}]
    mode = field("processes", "a1")
    assert mode
    (alert,) = Matcher(rules(Text(mode, How.CONTAINS, "+s")), time.time).scan("processes", batch("processes", given))
    assert alert.evidence["process_args[2]"] == "u+S"
    assert alert.evidence_ids == ("processes/a/b/processes/0",)


def test_the_same_row_makes_the_same_alert() -> None:
    rows = batch("processes", [{"process_command_line": "evil"}, {"process_command_line": "evil"}])
    first = Matcher(rules(EVIL), time.time).scan("processes", rows)
    again = Matcher(rules(EVIL), time.time).scan("processes", rows.slice(1))
    assert len({alert.alert_id for alert in first}) == 2
    assert again[0].alert_id == first[1].alert_id


def test_literals_do_not_reach_across_rows() -> None:
    rows = batch("processes", [{"process_command_line": "ev"}, {"process_command_line": "il"}])
    counters = Counters("detect")
    assert Matcher(rules(EVIL), time.time, counters).scan("processes", rows) == []
    assert counters.get("rule_candidates", "rule-0") == 0


def test_a_very_long_literal() -> None:
    long = "ab" * 20_000
    rows = batch("processes", [{"process_command_line": f"x{long}"}, {"process_command_line": long[:-1]}])
    assert Matcher(rules(Text(LINE, How.CONTAINS, long)), time.time).matches("processes", rows) == {"rule-0": [0]}


def test_counters() -> None:
    counters = Counters("detect")
    matcher = Matcher(rules(conj([EVIL, Number(PID, ">", 5)])), time.time, counters)
    lines = [{"process_command_line": "evil", "process_pid": pid} for pid in (1, 9)]
    matcher.scan("processes", batch("processes", [*lines, *({"process_command_line": "good"} for _ in range(20))]))
    assert counters.get("rules_loaded") == 1
    assert counters.get("rules_faulty") == 0
    assert counters.get("rows_scanned", "processes") == 22
    assert counters.get("rule_candidates", "rule-0") == 2
    assert counters.get("rule_matches", "rule-0") == 1


def test_a_flood_of_alerts_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_ALERTS", 3)
    counters = Counters("detect")
    rows = batch("processes", [{"process_command_line": "evil"}] * 10)
    assert len(Matcher(rules(EVIL), time.time, counters).scan("processes", rows)) == 3
    assert counters.get("alerts_over_limit", "rule-0") == 7


def test_rules_that_only_correlations_use_are_silent() -> None:
    silent = RuleSet(events=(rule(0, "processes", EVIL, alerts=False),))
    rows = batch("processes", [{"process_command_line": "evil"}])
    assert Matcher(silent, time.time).scan("processes", rows) == []
    assert Matcher(silent, time.time, every_rule=True).matches("processes", rows) == {"rule-0": [0]}


def test_without_hyperscan_rules_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "hyperscan", None)
    rows = batch("processes", [{"process_command_line": "good"}, {"process_command_line": "EVIL"}])
    assert Matcher(rules(EVIL), time.time).matches("processes", rows) == {"rule-0": [1]}


def test_a_literal_that_is_everywhere_is_left_to_the_kernels() -> None:
    counters = Counters("detect")
    both = conj([EVIL, Regex(LINE, "(?-s)[0-9]{3}$")])
    rows = batch("processes", [{"process_command_line": f"evil {number}"} for number in range(1000)])
    found = Matcher(rules(both), time.time, counters).matches("processes", rows)
    assert found == {"rule-0": list(range(100, 1000))}
    assert counters.get("rule_candidates", "rule-0") == 0


def test_many_candidates_are_asked_by_columns_and_the_answer_is_the_same() -> None:
    """More than are looked at one by one, fewer than a rule over all rows is worth."""
    given = [
        {
            "process_command_line": f"run {'EVIL' if number % 10 == 0 else 'good'} {number}",
            "process_executable": "/bin/sh" if number % 4 == 0 else "/bin/ls",
            "process_args": ["chmod", f"u+s{number}"] if number % 50 == 0 else ["chmod"],
            "process_pid": number,
        }
        for number in range(2000)
    ]
    mode = field("processes", "a1")
    assert mode
    trees = (
        EVIL,
        conj([EVIL, Text(IMAGE, How.ENDS, "/sh"), Regex(LINE, "evil [0-9]*0$"), Number(PID, ">", 99)]),
        conj([EVIL, Text(mode, How.STARTS, "u+s")]),
        conj([EVIL, Text(IMAGE, How.ENDS, "/none")]),
        conj([EVIL, neg(Text(IMAGE, How.ENDS, "/sh"))]),
    )
    rows, counters = batch("processes", given), Counters("detect")
    found = Matcher(rules(*trees), time.time, counters).matches("processes", rows)
    assert found == Matcher(rules(*trees), time.time, prefilter=False).matches("processes", rows)
    assert {rule: len(rows) for rule, rows in found.items()} == {"rule-0": 200, "rule-2": 40, "rule-4": 100}
    assert counters.get("rule_candidates", "rule-0") == 200


def test_shapes_that_batches_come_in() -> None:
    one = batch("processes", [{"process_executable": "/bin/evil"}, {"process_executable": "/bin/ls"}])
    two = batch("processes", [{"process_executable": "/bin/ls"}, {"process_executable": "/bin/EVIL"}])
    matcher = Matcher(rules(Text(IMAGE, How.ENDS, "/evil")), time.time)
    chunked = pa.concat_tables([one, two])
    assert chunked["process_executable"].num_chunks == 2
    assert matcher.matches("processes", chunked) == {"rule-0": [0, 3]}
    assert matcher.matches("processes", chunked.slice(1, 3)) == {"rule-0": [2]}
    assert matcher.matches("processes", chunked.slice(0, 0)) == {}
    at = one.schema.get_field_index("process_executable")
    plain = one.set_column(at, "process_executable", one["process_executable"].cast(pa.string()))
    assert matcher.matches("processes", plain) == {"rule-0": [0]}
    assert matcher.matches("processes", one.drop_columns(["process_executable"])) == {}
    nulls = one.set_column(at, "process_executable", pa.array([None, "/x/evil"]).dictionary_encode())
    assert matcher.matches("processes", nulls) == {"rule-0": [1]}
    assert matcher.matches("flows", one) == {}


def test_a_duration_is_computed() -> None:
    long = EventRule(rule(0, "flows", EVIL).head, "flows", Number(TABLES["flows"].column("flow_duration"), ">", 10), ())
    rows = batch("flows", [{"flow_start": 100, "flow_end": 105}, {"flow_start": 100, "flow_end": 111}])
    assert Matcher(RuleSet(events=(long,)), time.time).matches("flows", rows) == {long.head.id: [1]}


def test_shipped_rules_are_silent_about_ordinary_work() -> None:
    ordinary = [
        ("root", "/usr/sbin/cron", "/usr/sbin/CRON -f -P"),
        ("root", "/usr/bin/dash", "/bin/sh -c cd / && run-parts --report /etc/cron.hourly"),
        ("root", "/usr/bin/bash", "bash -i"),
        ("www-data", "/usr/sbin/php-fpm8.2", "php-fpm: pool www"),
        ("www-data", "/usr/bin/dash", "sh -c /usr/sbin/sendmail -t -i"),
        ("lan", "/usr/bin/ssh", "ssh -i /home/lan/.ssh/id_ed25519 web-01"),
        ("root", "/usr/bin/curl", "curl -fsS https://mirror.example/"),
        ("root", "/usr/bin/apt-get", "apt-get update"),
        ("root", "/usr/bin/crontab", "crontab -e"),
        ("postgres", "/usr/bin/sh", "sh -c test -f /var/lib/postgresql/x"),
    ]
    rows = batch(
        "processes",
        [
            {"event_action": "exec", "user_name": user, "process_executable": image, "process_command_line": line}
            for user, image, line in ordinary
        ],
    )
    shipped = load([Path(luytre_rules.FOLDER)])
    assert Matcher(shipped, time.time).scan("processes", rows) == []
