from __future__ import annotations

from typing import Any

from luytre_agent.sources.host.network_state import NetworkState
from luytre_agent.sources.host.rtnetlink import News, Thing


def link(index: int = 2, name: str = "eth0", promiscuous: str = "no", **facts: str) -> Thing:
    return Thing("link", ("link", index), name, name, {"name": name, "promiscuous": promiscuous, **facts})


def route(via: str, subject: str = "0.0.0.0/0") -> Thing:
    return Thing("route", ("route", subject), "eth0", subject, {"type": "unicast", "via": via}, (via,))


def neighbour(ip: str, mac: str) -> Thing:
    return Thing("neighbour", ("neighbour", 2, ip), "eth0", ip, {"mac": mac})


def here(*things: Thing) -> News:
    return News(things, gone=False)


def gone(*things: Thing) -> News:
    return News(things, gone=True)


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            row["event_action"],
            row["network_change_subject"],
            row["network_change_before"],
            row["network_change_after"],
            row["network_change_notes"],
        )
        for row in rows
    ]


def test_what_is_the_same_is_no_news() -> None:
    state = NetworkState()
    assert told(state.apply(here(link()))) == [("added", "eth0", "", "name=eth0 promiscuous=no", "")]
    assert state.apply(here(link())) == []
    assert state.names() == {2: "eth0"}
    assert told(state.apply(gone(link()))) == [("removed", "eth0", "name=eth0 promiscuous=no", "", "")]
    assert state.apply(gone(link())) == []


def test_promiscuous_is_noted_when_it_begins() -> None:
    state = NetworkState()
    state.replace("link", [link()], first=True)
    assert [row["network_change_notes"] for row in state.apply(here(link(promiscuous="yes")))] == ["promiscuous"]
    assert [row["network_change_notes"] for row in state.apply(here(link(promiscuous="yes", mtu="9000")))] == [""]
    assert [row["network_change_notes"] for row in state.apply(here(link(promiscuous="no")))] == [""]


def test_the_gateway_has_another_mac() -> None:
    state = NetworkState()
    state.replace("route", [route("10.0.0.1")], first=True)
    assert told(state.apply(here(neighbour("10.0.0.1", "A")))) == [("added", "10.0.0.1", "", "mac=A", "")]
    assert state.apply(here(neighbour("10.0.0.9", "B"))) == [], "no gateway"
    assert told(state.apply(here(neighbour("10.0.0.1", "B")))) == [
        ("changed", "10.0.0.1", "mac=A", "mac=B", "gateway_mac_changed")
    ]
    assert state.apply(gone(neighbour("10.0.0.1", "B"))) == [], "the kernel forgets, we do not"


def test_a_neighbour_becomes_the_gateway() -> None:
    state = NetworkState()
    state.apply(here(route("10.0.0.1")))
    state.apply(here(neighbour("10.0.0.1", "A")))
    state.apply(here(neighbour("10.0.0.2", "B")))
    assert told(state.apply(here(route("10.0.0.2")))) == [
        ("changed", "0.0.0.0/0", "type=unicast via=10.0.0.1", "type=unicast via=10.0.0.2", "default_route"),
        ("added", "10.0.0.2", "", "mac=B", ""),
    ]


def test_all_neighbours_or_none() -> None:
    everyone = NetworkState("all")
    assert len(everyone.apply(here(neighbour("10.0.0.9", "B")))) == 1
    assert told(everyone.apply(here(neighbour("10.0.0.9", "C")))) == [("changed", "10.0.0.9", "mac=B", "mac=C", "")]
    nobody = NetworkState("none")
    nobody.apply(here(route("10.0.0.1")))
    assert nobody.apply(here(neighbour("10.0.0.1", "A"))) == []


def test_a_dump_says_what_nobody_told() -> None:
    state = NetworkState()
    first = state.replace("route", [route("10.0.0.1"), route("10.0.0.1", "10.1.0.0/16")], first=True)
    assert [row["event_action"] for row in first] == ["seen", "seen"]
    later = state.replace("route", [route("10.0.0.7"), route("10.0.0.1", "10.2.0.0/16")])
    assert [(row["event_action"], row["network_change_subject"]) for row in later] == [
        ("removed", "10.1.0.0/16"),
        ("changed", "0.0.0.0/0"),
        ("added", "10.2.0.0/16"),
    ]


def test_it_is_bounded() -> None:
    state = NetworkState("all", most=16)
    for at in range(20):
        state.apply(here(route("10.0.0.1", f"10.{at}.0.0/16")))
        state.apply(here(neighbour(f"10.0.0.{at}", "A")))
    assert state.overflows == 8
    assert len(state.replace("rule", [Thing("rule", (at,), "", str(at), {}) for at in range(20)])) == 16
    assert state.overflows == 12
