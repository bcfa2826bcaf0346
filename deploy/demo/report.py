"""What came of the story: what was captured, which alerts were raised, and whether they are the right ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.screen import Screen, shorten
from deploy.demo.services import Site
from deploy.demo.story import Act

_CAPTURED = """
SELECT
    label,
    sumIf(most, counter = 'packets') AS packets,
    sumIf(most, counter = 'kernel_dropped') AS dropped,
    sumIf(most, startsWith(counter, 'undecoded')) AS undecoded
FROM
(
    SELECT label, counter, max(value) AS most FROM agent_health
    WHERE component IN ('packets', 'replay') GROUP BY label, counter
)
GROUP BY label HAVING countIf(counter = 'packets') > 0 ORDER BY packets DESC, label
"""

_ROWS = """
SELECT 'flows' AS name, count() AS rows FROM flows
UNION ALL SELECT 'dns', count() FROM dns
UNION ALL SELECT 'tls', count() FROM tls
UNION ALL SELECT 'processes', count() FROM processes
"""

_ALERTS = """
SELECT rule_id, rule_name, rule_name_vi, rule_level, threat_technique_id, agent_id, evidence, user_name,
    replaceOne(toString(source_ip), '::ffff:', '') AS source,
    replaceOne(toString(destination_ip), '::ffff:', '') AS destination, alert_delay
FROM alerts FINAL ORDER BY event_time, rule_name
"""

#: Ids of Agent Stopped, and of Agent Has Read Its Capture Files: the collector noticed that the story was over.
THE_END = ("c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9103", "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9104")

#: Parts of the evidence that the alert's own columns show already, or that only machines read.
_NOT_SHOWN = {
    "source_ip", "destination_ip", "user_name", "agent_id", "host_name", "group", "group_key", "values", "first",
    "last", "from", "to", "event_action", "user_id", "process_pid", "process_entity_id", "process_parent_entity_id",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert as the table `alerts` has it."""

    rule_id: str
    name_en: str
    name_vi: str
    level: str
    techniques: tuple[str, ...]
    host: str
    evidence: str
    delay_s: float


def alerts(site: Site) -> list[Raised]:
    """Every alert in the store."""
    return [_raised(row) for row in site.query(_ALERTS)]


def _raised(row: dict[str, Any]) -> Raised:
    return Raised(
        rule_id=row["rule_id"],
        name_en=row["rule_name"],
        name_vi=row["rule_name_vi"],
        level=row["rule_level"],
        techniques=tuple(row["threat_technique_id"]),
        host=row["agent_id"],
        evidence=_evidence(row),
        delay_s=int(row["alert_delay"]) / 1e6,
    )


def _evidence(row: dict[str, Any]) -> str:
    ends = [end for end in (row["source"], row["destination"]) if end and end != "::"]
    parts = [" → ".join(ends)] if ends else []
    if row["user_name"]:
        parts.append(row["user_name"])
    evidence = json.loads(row["evidence"] or "{}")
    parts += [f"{key} {value}" for key, value in evidence.items() if value and key not in _NOT_SHOWN]
    return " · ".join(parts)


def show_captured(screen: Screen, site: Site) -> None:
    """Two tables: packets by interface, rows by table."""
    screen.section("What was captured", "Đã thu được")
    rows = [
        [_interface(screen, row["label"]), *(f"{int(row[name]):,}" for name in ("packets", "dropped", "undecoded"))]
        for row in site.query(_CAPTURED)
    ]
    screen.table(
        [
            screen.text("interface", "giao diện mạng"),
            screen.text("packets", "gói tin"),
            screen.text("dropped by the kernel", "nhân hệ điều hành bỏ"),
            screen.text("not decoded", "không giải mã"),
        ],
        rows,
    )
    screen.line()
    meanings = {
        "flows": screen.text("connections, both directions in one row", "kết nối, hai chiều trong một dòng"),
        "dns": screen.text("DNS questions with their answers", "truy vấn DNS và câu trả lời"),
        "tls": screen.text("TLS hellos with the name asked for", "lời chào TLS và tên máy chủ"),
        "processes": screen.text("programs started and ended", "tiến trình bắt đầu và kết thúc"),
    }
    rows_of = {row["name"]: int(row["rows"]) for row in site.query(_ROWS)}
    counted = [[name, f"{rows_of[name]:,}", meaning] for name, meaning in meanings.items()]
    screen.table([screen.text("table", "bảng"), screen.text("rows", "số dòng"), ""], counted)


def _interface(screen: Screen, label: str) -> str:
    namespace, slash, interface = label.rpartition("/")
    if slash and namespace.startswith("luytre-blue"):
        return f"{interface} " + screen.text("(in the namespace blue)", "(trong không gian mạng blue)")
    return label


def show_alerts(screen: Screen, raised: Sequence[Raised], columns: int) -> None:
    """One line per alert, its evidence below it."""
    screen.section("Alerts", "Cảnh báo")
    levels = {
        "informational": "thông tin", "low": "thấp", "medium": "trung bình", "high": "cao", "critical": "nghiêm trọng",
    }  # fmt: skip
    screen.table(
        [
            screen.text("level", "mức"),
            screen.text("rule", "luật"),
            "ATT&CK",
            screen.text("host", "máy"),
            screen.text("event to alert", "từ sự kiện tới cảnh báo"),
        ],
        [
            [
                screen.text(one.level, levels.get(one.level, one.level)),
                screen.text(one.name_en, one.name_vi or one.name_en),
                " ".join(one.techniques),
                one.host,
                f"{one.delay_s:.1f} s",
            ]
            for one in raised
        ],
        styles=[one.level for one in raised],
        notes=[shorten(one.evidence, columns - 8) for one in raised],
    )


def verdict(screen: Screen, expected: Sequence[Act], raised: Sequence[Raised]) -> bool:
    """Whether the alerts are those of the story, each once, and no others; says what is missing or too much."""
    screen.section("Verdict", "Kết luận")
    counts = {act.rule_id: sum(one.rule_id == act.rule_id for one in raised) for act in expected}
    missing = [screen.text(act.en, act.vi) for act in expected if not counts[act.rule_id]]
    twice = [screen.text(act.en, act.vi) for act in expected if counts[act.rule_id] > 1]
    known = {*counts, *(rule_id for act in expected for rule_id in act.other_rule_ids), *THE_END}
    extra = sorted({screen.text(one.name_en, one.name_vi) for one in raised if one.rule_id not in known})
    for names, en, vi in (
        (missing, "not noticed", "không phát hiện"),
        (twice, "raised more than once", "báo nhiều lần"),
        (extra, "not part of the story", "không thuộc câu chuyện"),
    ):
        if names:
            screen.failed(f"{screen.text(en, vi)}: {', '.join(names)}")
    if missing or twice or extra:
        return False
    screen.done(
        screen.text(
            f"exactly the {len(expected)} attacks of the story raised an alert, once each; nothing else did",
            f"đúng {len(expected)} cuộc tấn công của câu chuyện được cảnh báo, mỗi cuộc một lần; ngoài ra không có gì",
        )
    )
    return True


#: What an analyst would ask next, in English, Vietnamese and SQL.
QUESTIONS = (
    (
        "Who tried which ports, and what came back?",
        "Ai đã thử những cổng nào, kết quả ra sao?",
        "SELECT source_ip, connection_state, count() AS tries, uniq(destination_port) AS ports FROM flows"
        " WHERE network_transport = 'tcp' GROUP BY ALL ORDER BY tries DESC LIMIT 10",
    ),
    (
        "Which programs ran as the web server's user, and who started them?",
        "Tài khoản máy chủ web đã chạy những gì, do ai khởi chạy?",
        "SELECT event_time, process_parent_name, process_command_line FROM processes"
        " WHERE user_name = 'www-data' AND event_action = 'exec' ORDER BY event_time",
    ),
    (
        "Which names did our server call over TLS, how often, for how long?",
        "Máy chủ của ta gọi tới những tên nào qua TLS, bao nhiêu lần, trong bao lâu?",
        "SELECT tls_client_server_name AS name, count() AS calls, max(event_time) - min(event_time) AS seconds FROM tls"
        " GROUP BY name ORDER BY calls DESC LIMIT 10",
    ),
)


def show_next(screen: Screen, site: Site) -> None:
    """The questions, each as a command that can be pasted."""
    screen.section("Ask further", "Hỏi tiếp bằng SQL")
    for en, vi, sql in QUESTIONS:
        screen.line(f"  {screen.text(en, vi)}")
        screen.line("    " + screen.style("good", f'{_program()} query --config {site.collector_toml} "{sql}"'))


def _program() -> str:
    """The collector's command, as it can be typed here."""
    beside = Path(sys.executable).with_name("luytre-collector")
    if not beside.exists():
        return "luytre-collector"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
