from __future__ import annotations

from luytre_collector.agent_alerts import TEXTS, alert_of
from luytre_collector.ingest.finding import Finding, Kind
from luytre_collector.notify import text

SECOND = 1_000_000
NOW = 1_795_400_000 * SECOND


def test_every_kind_has_a_text_in_both_languages_and_an_id_of_its_own() -> None:
    assert set(TEXTS) == set(Kind)
    assert len({one.rule_id for one in TEXTS.values()}) == len(Kind)
    for one in TEXTS.values():
        assert one.title != one.title_vi
        assert not one.title_vi.isascii()
        assert one.level in text.LEVELS["vi"]


def test_an_alert_says_who_what_and_since_when() -> None:
    facts = {"last_heard_us": NOW - 50 * SECOND, "silent_for_s": 50, "connection": "closed"}
    found = Finding(Kind.SILENT, "web-01", "web-01.hue.example", NOW, "17", facts)
    alert = alert_of(found, "c1")
    assert (alert.rule_level, alert.agent_id, alert.host_name) == ("high", "web-01", "web-01.hue.example")
    assert alert.threat_technique_id == ("T1562.001", "T1562.006")
    assert alert.evidence == {
        "last_heard": "2026-11-23T02:12:30Z", "silent_for_s": 50, "connection": "closed", "collector": "c1",
    }  # fmt: skip
    assert "Agent mất liên lạc | trên web-01.hue.example" in text.line(alert, "vi", "UTC")
    assert alert_of(found, "c2").alert_id == alert.alert_id
    assert alert_of(Finding(Kind.SILENT, "web-01", "", NOW, "18"), "c1").alert_id != alert.alert_id


def test_hostile_times_stay_numbers() -> None:
    found = Finding(Kind.STOPPED, "web-01", "", NOW, "1", {"agent_time_us": 2**62, "last_words": "x"})
    assert alert_of(found, "c").evidence["agent_time"] == 2**62


def test_rows_are_named() -> None:
    found = Finding(Kind.BATCH_BROKEN, "web-01", "", NOW, "1", {}, ("flows/web-01/b/flows/3",))
    assert alert_of(found).evidence_ids == ("flows/web-01/b/flows/3",)
    assert alert_of(found).evidence == {}
