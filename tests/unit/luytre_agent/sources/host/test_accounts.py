from __future__ import annotations

import grp
import pwd
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.accounts import groups, read_groups, read_users, users

GROUP = b"root:x:0:\nsudo:x:27:lan,mai\nusers:x:100:lan\n"


def test_who_is_privileged_and_why() -> None:
    passwd = (
        b"root:x:0:0::/root:/bin/sh\nlan:x:1000:100::/home/lan:/bin/sh\nbi:x:1001:27:::\nan::1002:100:::\nz:x:00:9:::"
    )
    found = {name: facts["privileged"] for name, facts in users(passwd, GROUP).items()}
    assert found == {"root": "root,uid0", "lan": "sudo", "bi": "sudo", "an": "", "z": "uid0"}
    assert users(passwd)["an"]["password"] == "none"


def test_a_second_line_of_a_name_is_not_hidden() -> None:
    assert list(users(b"lan:x:1000:1:::\nlan:x:0:0:::\n")) == ["lan", "lan:0"]
    assert list(groups(b"a:x:1:\na:x:0:\n")) == ["a", "a:0"]


def test_the_same_as_the_library_says() -> None:
    found = read_users(Path("/"))
    assert {name: int(facts["uid"]) for name, facts in found.items()} == {
        one.pw_name: one.pw_uid for one in pwd.getpwall()
    }
    assert read_groups(Path("/")).keys() == {one.gr_name for one in grp.getgrall()}


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    users(data, data)
    users(b"a:x:" + data + b":0:::", b"sudo:x:" + data)
    groups(data)
