from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.name_files import hosts, nsswitch_conf, resolv_conf


def test_resolv_conf() -> None:
    data = b"# mine\nnameserver 10.0.0.53 ; old\nnameserver ::1\ndomain a\nsearch b.example c.example\noptions ndots:2"
    (thing,) = resolv_conf(data)
    assert thing.facts == {"nameserver": "10.0.0.53,::1", "search": "b.example,c.example", "options": "ndots:2"}


def test_nsswitch_conf() -> None:
    (thing,) = nsswitch_conf(b"passwd:  files   systemd # x\nhosts: files dns\n: none\na b c\n")
    assert thing.facts == {"passwd": "files systemd", "hosts": "files dns"}


def test_hosts_by_name() -> None:
    data = b"127.0.0.1 localhost\n::1 localhost ip6-loopback\n203.0.113.9 Bank.example # moved\n"
    assert {thing.subject: thing.facts["address"] for thing in hosts(data)} == {
        "localhost": "127.0.0.1,::1",
        "ip6-loopback": "::1",
        "bank.example": "203.0.113.9",
    }


def test_a_block_list_is_one_thing() -> None:
    (thing,) = hosts(b"".join(b"0.0.0.0 ad%d.example\n" % at for at in range(3000)))
    assert thing.facts["names"] == "3000"
    assert len(thing.facts["sha256"]) == 64


@given(st.binary(max_size=200))
def test_any_bytes_will_do(data: bytes) -> None:
    for reader in (hosts, nsswitch_conf, resolv_conf):
        for thing in reader(data):
            assert all(isinstance(value, str) for value in thing.facts.values())
