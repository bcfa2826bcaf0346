from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_common.policy import ALLOWED, Document, PolicyError, read
from luytre_common.policy.document import MAX_BYTES

GOOD = """
version = 12
group = "portals"
agents = ["portal-*", "web-0[1-4]"]
not_before = 2026-12-01T00:00:00+07:00
expires = 2027-12-01T00:00:00+07:00
reason = "theo yêu cầu"

[settings.sources.files]
web_roots = ["/var/www"]
[settings.sources]
sockets.enabled = false
refresh_seconds = 30
"""


def faults(text: str | bytes) -> str:
    with pytest.raises(PolicyError) as raised:
        read(text.encode() if isinstance(text, str) else text)
    assert raised.value.exit_code == 2
    return str(raised.value)


def settings_faults(text: str) -> str:
    return faults(f'version = 1\nagents = ["a"]\n[settings]\n{text}')


def test_a_sound_document() -> None:
    document = read(GOOD.encode())
    assert (document.version, document.group, document.reason) == (12, "portals", "theo yêu cầu")
    assert document.settings == {
        "sources.files.web_roots": ["/var/www"],
        "sources.sockets.enabled": False,
        "sources.refresh_seconds": 30,
    }
    assert document.not_before == datetime(2026, 11, 30, 17, tzinfo=UTC).timestamp()


def test_whom_it_is_for() -> None:
    document = read(GOOD.encode())
    assert [name for name in ("portal-1", "web-02", "web-05", "Portal-1", "xportal-1") if document.names(name)] == [
        "portal-1",
        "web-02",
    ]


def test_when_it_is_for() -> None:
    document = Document(1, "", ("a",), {}, not_before=10.0, expires=20.0)
    assert [document.begun(now) for now in (9.9, 10.0, 30.0)] == [False, True, True]
    assert [document.expired(now) for now in (9.9, 19.9, 20.0)] == [False, False, True]
    always = Document(1, "", ("a",), {})
    assert always.begun(0.0)
    assert not always.expired(1e12)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tls.key = '/etc/shadow'", "settings.tls: no policy may set that"),
        ("uplink.collector = 'evil.example:1'", "settings.uplink: no policy may set that"),
        ("spool.directory = '/'", "settings.spool: no policy may set that"),
        ("sources.state_directory = '/'", "settings.sources.state_directory: no policy may set that"),
        ("sources.logins.journalctl = ['sh']", "settings.sources.logins.journalctl: no policy may set that"),
        ("sources.logins.auth_logs = ['/etc/shadow']", "settings.sources.logins.auth_logs: no policy may set that"),
        ("sources.inventory.sysctls = ['../../etc/shadow']", "settings.sources.inventory.sysctls: no policy may"),
        ("sources.network.root = '/'", "settings.sources.network.root: no policy may set that"),
        ("policy.enabled = false", "settings.policy: no policy may set that"),
        (
            "sources.packets.interface = [{name = 'a'}]",
            "sources.packets.interface: no policy may set that; did you mean",
        ),
        ("'sources.files.enabled' = true", 'settings."sources.files.enabled": no policy may set that'),
        ("sources.files = 1", "settings.sources.files: no policy may set that"),
        ("sources.files.enabled = {a = 1}", "settings.sources.files.enabled: is not true or false"),
        ("sources.files.enabled = 1", "settings.sources.files.enabled: is not true or false"),
        ("redact.enabled = false", "settings.redact.enabled: may only be turned on"),
        ("sources.packets.max_flows = true", "is not a whole number"),
        ("sources.packets.max_flows = 64.0", "is not a whole number"),
        ("sources.packets.max_flows = 1", "is not within 1,024 to 1,048,576"),
        ("health.interval_seconds = nan", "is not within 1 to 600"),
        ("health.interval_seconds = inf", "is not within 1 to 600"),
        ("health.interval_seconds = '1'", "is not a number"),
        ("sources.network.neighbours = 'some'", "is not one of none, gateways, all"),
        ("sources.packets.interfaces = ['a/b']", "is not a name of an interface"),
        ("sources.packets.interfaces = ['-i']", "is not a name of an interface"),
        ("sources.packets.interfaces = ['sixteen-bytes-xx']", "is not a name of an interface"),
        ("sources.packets.interfaces = 'eth0'", "is not a list of strings"),
        ("sources.packets.interfaces = [1]", "is not a list of strings"),
        ("sources.files.paths = ['etc']", "is not an absolute path"),
        ("sources.files.paths = ['/etc/../root']", "is not an absolute path"),
        ("sources.files.paths = ['/etc/\\u0000']".replace("'", '"'), "is not an absolute path"),
        ("sources.files.paths = ['/proc/1/environ']", "is not watched by policy"),
        ("sources.files.paths = ['']", "is empty or longer"),
        (f"sources.files.paths = ['/{'a' * 2000}']", "is empty or longer"),
        (f"sources.files.paths = {['/a'] * 257}", "257 entries; the most is 256"),
        (f"redact.patterns = {['a'] * 65}", "65 entries; the most is 64"),
    ],
)
def test_what_no_policy_may_set(line: str, said: str) -> None:
    assert said in settings_faults(line)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version: must be a whole number"),
        ("version = 0\nagents=['a']", "version: must be"),
        ("version = -1\nagents=['a']", "version: must be"),
        ("version = true\nagents=['a']", "version: must be"),
        (f"version = {2**63}\nagents=['a']", "version: must be"),
        ("version = 1", "agents: must be a list of 1 to 1000"),
        ("version = 1\nagents = []", "agents: must be a list"),
        ("version = 1\nagents = ['a b']", "agents: 'a b' is not a pattern"),
        ("version = 1\nagents = [1]", "agents: what is no string"),
        ("version = 1\nagents = ['a']\nrun = 'id'", "run: unknown key"),
        ("version = 1\nagents = ['a']\ngroup = '\\n'".replace("'", '"'), "group: must be a name"),
        ("version = 1\nagents = ['a']\nreason = 1", "reason: must be text"),
        ("version = 1\nagents = ['a']\nsettings = 1", "settings: must be a table"),
        ("version = 1\nagents = ['a']\nexpires = 2026-12-01", "expires: must be a time with its offset"),
        ("version = 1\nagents = ['a']\nexpires = 2026-12-01T00:00:00", "expires: must be a time with its offset"),
        ("version = 1\nagents = ['a']\nexpires = 0001-01-01T00:00:00+07:00\nx=1", "x: unknown key"),
        (
            "version = 1\nagents = ['a']\nnot_before = 2027-01-01T00:00:00Z\nexpires = 2026-01-01T00:00:00Z",
            "expires: is not after not_before",
        ),
        ("version = ", "not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "9" * 5000, "not TOML"),
        (b"a = '\xff'", "not UTF-8 at byte 5"),
        (b" " * (MAX_BYTES + 1), "the most is 65536"),
    ],
)
def test_what_is_no_document(text: str | bytes, said: str) -> None:
    assert said in faults(text)


def test_every_fault_is_named_at_once() -> None:
    said = faults("version = 0\nagents = []\nx = 1\n[settings]\ntls.key = 'a'\nhealth.interval_seconds = 0")
    assert [key in said for key in ("version:", "agents:", "x:", "settings.tls:", "settings.health.interval")] == [
        True
    ] * 5


def test_faults_are_one_line_whatever_the_names() -> None:
    assert "\n" not in settings_faults('"a\\nb" = 1\n"\\u001b[2J" = 2')


toml_values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text('abz019/.-_ \n"đ', max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(ALLOWED)), toml_values, max_size=4))
def test_what_is_taken_is_allowed_whatever_the_values(values: dict[str, object]) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    try:
        document = read(("version = 1\nagents = ['*']\n[settings]\n" + "\n".join(lines)).encode())
    except PolicyError:
        return
    assert all(ALLOWED[key].fault(value) is None for key, value in document.settings.items())


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        read(raw)
