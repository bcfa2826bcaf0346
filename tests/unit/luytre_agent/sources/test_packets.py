from __future__ import annotations

from typing import Any

from luytre_agent.sources.packets import Config, Interface, Packets, build, label


def names(config: Config, up: dict[str, int] | None = None) -> list[str]:
    return sorted(build(config, [], lambda: up if up is not None else {"lo": 1, "eth0": 2}))


def test_auto_is_everything_that_is_up_told_apart_by_index() -> None:
    assert names(Config()) == ["packets:eth0#2", "packets:lo#1"]
    assert names(Config(), {"eth0": 7}) == ["packets:eth0#7"], "an interface that was made anew is another one"
    assert names(Config(), {}) == []


def test_named_interfaces_are_wanted_also_while_they_are_away() -> None:
    assert names(Config(interfaces=["eth9"])) == ["packets:eth9"]
    assert names(Config(interfaces=["eth0", "auto"])) == ["packets:eth0", "packets:lo#1"]
    tables = [Interface("veth1", "dmz"), Interface("eth0")]
    assert names(Config(interfaces=[], interface=tables)) == ["packets:dmz/veth1", "packets:eth0"]


def test_it_can_be_switched_off() -> None:
    assert names(Config(enabled=False)) == []


def test_a_name_says_where_the_interface_is() -> None:
    assert label(Interface("eth0")) == "eth0"
    source: Any = Packets(Config(), Interface("veth1", "dmz"))
    assert source.name == "packets:dmz/veth1"
    assert source.samples() == []
    assert source.poll(0.0) == ()
    assert source.close() == ()
