"""What of the registers is to be written, by what is declared and what is there."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import registers
from luytre_collector.sites import NONE, Organisation, Sites, System

SITES = Sites(
    [Organisation("hue", "Hue City", "Thành phố Huế"), Organisation("ward", parent="hue")],
    [System("portal", "hue", 3, ["portal-*"], name_vi="Cổng"), System("office", "ward", 2, ["ward-*"])],
)


def test_rows_of_what_is_declared() -> None:
    above, below = registers.organisation_rows(SITES)
    assert above == {
        "organisation_id": "hue", "organisation_name": "Hue City", "organisation_name_vi": "Thành phố Huế",
        "organisation_parent_id": "", "organisation_path": ["hue"], "removed": 0,
    }  # fmt: skip
    assert below["organisation_path"] == ["hue", "ward"]
    portal, office = registers.system_rows(SITES, lambda system: 30 * system.level)
    assert portal == {
        "system_id": "portal", "system_name": "", "system_name_vi": "Cổng", "system_level": 3, "organisation_id": "hue",
        "organisation_path": ["hue"], "system_agents": ["portal-*"], "system_kept_days": 90, "removed": 0,
    }  # fmt: skip
    assert (office["organisation_path"], office["system_kept_days"]) == (["hue", "ward"], 60)


def test_where_an_agent_belongs() -> None:
    assert registers.place(SITES, "ward-1") == {
        "system_id": "office", "system_level": 2, "organisation_id": "ward", "organisation_path": ["hue", "ward"],
    }  # fmt: skip
    assert registers.place(SITES, "x") == {
        "system_id": "", "system_level": 0, "organisation_id": "", "organisation_path": [],
    }  # fmt: skip
    there = [{"agent_id": name, "host_name": "h", **registers.place(NONE, name)} for name in ("ward-1", "x")]
    assert registers.moves(there, SITES) == [
        {"agent_id": "ward-1", "host_name": "h", **registers.place(SITES, "ward-1")}
    ]
    assert registers.moves(registers.moves(there, SITES), SITES) == []


rows = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


@given(rows, rows, rows)
def test_writing_the_differences_leads_from_anything_to_anything(
    first: dict[str, int], second: dict[str, int], third: dict[str, int]
) -> None:
    """As the engine has it: the newest row of a key, and none if that is removed."""
    newest: dict[str, dict[str, Any]] = {}
    for now, declared in enumerate((first, second, third)):
        wanted = [{"id": key, "value": value, "removed": 0} for key, value in declared.items()]
        shown = [row for row in newest.values() if not row["removed"]]
        for change in registers.differences(shown, wanted, "id"):
            assert change["recorded_time"] <= 10 * now
            newest[change["id"]] = {**change, "recorded_time": 10 * now + 1}
        assert {row["id"]: row["value"] for row in newest.values() if not row["removed"]} == declared
        shown = [row for row in newest.values() if not row["removed"]]
        assert registers.differences(shown, wanted, "id") == []
