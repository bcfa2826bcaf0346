from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent.policy import Config, Policies, Seen
from luytre_agent.policy.model import Given, Source
from luytre_common.errors import UserError
from luytre_common.policy import ALLOWED

from tests.support.policies import Bench, Host, Signer, count

OFF = "sources.files.enabled = false"
WELL = Seen({"files": Source(True)}, frozenset({"files"}), True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.stop()


def test_a_policy_is_tried_and_then_applied(bench: Bench) -> None:
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    bench.wait(1, "trying")
    assert (policies.version, count(policies, "policy_on_trial")) == (0, 1)
    bench.ticks = 2.0
    assert bench.wait(1, "applied") == ""
    assert bench.host.settings == {"sources.files.enabled": False}
    assert (policies.version, count(policies, "policies_applied"), count(policies, "policy_version")) == (1, 1, 1)
    assert count(policies, "policy_on_trial") == 0


def test_one_that_does_harm_is_taken_back(bench: Bench) -> None:
    sick = Seen({"files": Source(False, "no such place")}, frozenset({"files"}), True)
    bench.host.seen = lambda settings: sick if settings.get("sources.files.paths") else WELL
    policies = bench.start()
    bench.apply(bench.signer.given(1, "sources.files.homes = false"))
    bench.tell(bench.signer.given(2, 'sources.files.paths = ["/nowhere"]'))
    bench.wait(2, "trying")
    bench.ticks += 1.0
    assert bench.wait(2, "rolled_back") == "files is not available any more: no such place"
    assert bench.host.settings == {"sources.files.homes": False}
    assert (policies.version, count(policies, "policies_rolled_back")) == (1, 1)
    bench.apply(bench.signer.given(3, OFF))
    assert policies.version == 3


def test_one_that_cannot_be_put_in_force_is_taken_back_however_often_that_takes(bench: Bench) -> None:
    bench.host.faults = [OSError(5, "no netlink"), OSError(5, "still none")]
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    assert "no netlink" in bench.wait(1, "rolled_back")
    assert bench.host.in_force == [{}]
    assert count(policies, "failures") == 1


def test_what_is_refused_changes_nothing(bench: Bench) -> None:
    bench.host.refuse = "sources: nothing would be left"
    policies = bench.start()
    signer = bench.signer
    for cause, policy in {
        "signature": Signer().given(1, OFF),
        "content": signer.given(2, "tls.key = '/k'"),
        "version": replace(signer.given(3, OFF), version=4),
        "other_agents": signer.given(5, OFF, agents="db-*"),
        "expired": signer.given(6, OFF, more="expires = 2026-01-01T00:00:00Z"),
        "early": signer.given(7, OFF, more="not_before = 2036-01-01T00:00:00Z"),
        "settings": signer.given(8, OFF),
    }.items():
        bench.tell(policy)
        bench.wait(policy.version, "refused")
        assert count(policies, "policies_refused", cause) == 1
    assert bench.host.in_force == []
    assert not (bench.folder / "policy").exists()
    assert policies.version == 0


def test_no_version_comes_twice_and_none_comes_back(bench: Bench) -> None:
    policies = bench.start()
    first, second = bench.signer.given(1, OFF), bench.signer.given(2, OFF)
    bench.apply(second)
    bench.tell(first)
    assert bench.wait(1, "refused") == "version 2 was here already, and no version comes twice"
    bench.said.clear()
    bench.tell(second)
    bench.wait(2, "applied")
    assert count(policies, "policies_repeated") == 1
    assert len(bench.host.in_force) == 1


def test_what_was_applied_is_in_force_at_the_next_start(bench: Bench) -> None:
    bench.start()
    bench.apply(bench.signer.given(4, OFF))
    bench.stop()
    bench.host = Host()
    policies = bench.start()
    assert bench.host.in_force == [{"sources.files.enabled": False}]
    assert policies.version == 4


def test_what_was_tried_when_the_agent_died_is_taken_back_at_the_next_start(bench: Bench) -> None:
    bench.start()
    bench.apply(bench.signer.given(4, "sources.files.homes = false"))
    bench.tell(bench.signer.given(5, OFF))
    bench.wait(5, "trying")
    dead, bench.host, bench.said = bench.policies, Host(), []
    policies = bench.start()  # the first was killed: nobody told it to stop
    assert bench.host.in_force == [{"sources.files.homes": False}]
    assert bench.wait(5, "rolled_back") == "the agent ended while it was tried"
    bench.said.clear()
    policies.welcomed()
    bench.wait(5, "rolled_back")
    bench.tell(bench.signer.given(5, OFF))
    bench.apply(bench.signer.given(6, OFF))
    assert bench.host.settings == {"sources.files.enabled": False}
    assert dead is not None
    dead._trial = None  # it must not write any more
    dead.stop()


def test_an_end_that_was_asked_for_says_nothing_against_a_policy(bench: Bench) -> None:
    bench.start()
    bench.tell(bench.signer.given(5, OFF))
    bench.wait(5, "trying")
    bench.stop()
    bench.host, bench.said = Host(), []
    policies = bench.start()
    assert bench.host.in_force == []
    bench.apply(bench.signer.given(5, OFF))
    assert policies.version == 5


def test_its_time_ends_and_a_clock_that_was_wrong_about_that_is_forgiven(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luytre_agent.policy.keeper._LOOK_S", 0.02)
    policies = bench.start()
    bench.apply(bench.signer.given(1, OFF, more="expires = 2027-02-01T00:00:00Z"))
    before, bench.now = bench.now, 1_900_000_000.0
    assert bench.wait(1, "expired") == "the host's own configuration counts"
    assert (bench.host.settings, policies.version, count(policies, "policies_expired")) == ({}, 0, 1)
    bench.said.clear()
    bench.now = before
    bench.wait(1, "applied")
    assert (bench.host.settings, policies.version) == ({"sources.files.enabled": False}, 1)
    bench.stop()
    bench.now, bench.host, bench.said = 1_900_000_000.0, Host(), []
    bench.start()
    bench.wait(1, "expired")
    assert bench.host.in_force == []


def test_a_connection_hears_the_last_report_again(bench: Bench) -> None:
    policies = bench.start()
    bench.apply(bench.signer.given(1, OFF))
    bench.said.clear()
    policies.welcomed()
    bench.wait(1, "applied")


def test_who_has_no_key_or_wants_none_refuses_at_once(bench: Bench) -> None:
    bench.settings = {"key": None}
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    assert bench.said == [(1, "refused", "this host has no key for policies ([policy] key)")]
    assert count(policies, "policies_refused", "no_key") == 1
    policies.welcomed()
    bench.stop()
    bench.settings, bench.said = {"enabled": False}, []
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    assert bench.said == [(1, "refused", "policies are turned off on this host ([policy] enabled)")]
    assert count(policies, "policies_refused", "disabled") == 1


def test_a_host_that_wants_no_more_policies_goes_back_to_its_own(bench: Bench) -> None:
    bench.start()
    bench.apply(bench.signer.given(1, OFF))
    bench.stop()
    bench.host, bench.settings = Host(), {"enabled": False}
    assert (bench.start().version, bench.host.in_force) == (0, [])
    bench.stop()
    bench.settings, bench.said = {}, []
    bench.signer = Signer()  # another key: what the old one signed counts no more
    policies = bench.start()
    assert (policies.version, bench.host.in_force) == (0, [])
    assert bench.wait(1, "refused") == "the signature is by none of this host's keys"


def test_keys_that_are_locked_stay_as_they_are(bench: Bench) -> None:
    bench.settings = {"locked": ["sources.files"]}
    bench.start()
    bench.tell(bench.signer.given(1, f"{OFF}\nhealth.interval_seconds = 5"))
    bench.wait(1, "trying")
    bench.ticks = 2.0
    assert bench.wait(1, "applied") == "left as they are here: sources.files.enabled"
    assert bench.host.settings == {"health.interval_seconds": 5}


def test_what_is_not_available_with_it_is_said(bench: Bench) -> None:
    seen = Seen({"files": Source(True), "sockets": Source(False, "no rights")}, frozenset({"files", "sockets"}), True)
    bench.host.seen = lambda _: seen
    bench.start()
    bench.tell(bench.signer.given(1, "sources.sockets.enabled = true"))
    bench.wait(1, "trying")
    bench.ticks = 2.0
    assert bench.wait(1, "applied") == "not available: sockets: no rights"


def test_a_state_that_is_damaged_is_put_aside(bench: Bench) -> None:
    (bench.folder / "policy").mkdir()
    (bench.folder / "policy/state.json").write_text("{")
    policies = bench.start()
    assert count(policies, "state_unreadable") == 1
    assert (bench.folder / "policy/state.json.damaged").exists()
    bench.apply(bench.signer.given(1, OFF))


def test_one_that_cannot_even_be_put_aside_does_not_keep_the_agent_from_starting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "policy").mkdir()
    (bench.folder / "policy/state.json").write_text("{")

    def readonly(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", readonly)
        policies = bench.start()
    assert count(policies, "state_unreadable") == 1
    bench.apply(bench.signer.given(1, OFF))


def test_what_cannot_be_kept_is_not_begun(bench: Bench) -> None:
    policies = bench.start()
    (bench.folder / "policy").write_text("a file where the folder should be")
    bench.tell(bench.signer.given(1, OFF))
    assert "it cannot be kept" in bench.wait(1, "refused")
    assert count(policies, "policies_refused", "not_kept") == 1
    assert bench.host.in_force == []


def test_what_cannot_be_kept_afterwards_is_counted(bench: Bench) -> None:
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    bench.wait(1, "trying")
    (bench.folder / "policy/state.json").unlink()
    (bench.folder / "policy").rmdir()
    (bench.folder / "policy").write_text("")
    bench.ticks = 2.0
    bench.wait(1, "applied")
    assert count(policies, "state_failures") == 1


def test_of_many_only_the_newest_waits(bench: Bench) -> None:
    policies = bench.start()
    bench.tell(bench.signer.given(1, OFF))
    bench.wait(1, "trying")
    for version in (2, 3, 4):
        bench.tell(bench.signer.given(version, OFF))
    assert count(policies, "policies_crowded_out") == 2
    bench.ticks = 2.0
    bench.wait(4, "trying")
    bench.ticks = 4.0
    bench.wait(4, "applied")
    assert not [one for one in bench.said if one[0] in (2, 3)]


def test_an_agent_that_cannot_start_with_it_starts_without(bench: Bench) -> None:
    bench.start()
    bench.apply(bench.signer.given(1, OFF))
    bench.stop()
    bench.said = []
    policies = Policies(
        Config(key=bench.folder / "policy.pub"), bench.folder / "policy", "web-01", Host(), bench.say, lambda: bench.now
    )
    assert policies.load() == {"sources.files.enabled": False}
    policies.fall_back("no source is available:\nnone")
    assert policies.version == 0
    assert bench.said == [(1, "rolled_back", "no source is available: none")]
    again = bench.start()
    assert again.version == 0


def test_a_key_file_that_is_none_is_a_mistake(bench: Bench) -> None:
    bench.settings = {"key": bench.folder / "none.pub"}
    with pytest.raises(UserError, match=r"none.pub: No such file or directory; copy policy.pub there"):
        bench.start()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_random_documents_never_harm(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Signed or not, whatever they hold: those refused change nothing, those taken set what is allowed."""
    keys = st.sampled_from(
        [*ALLOWED, "tls.key", "uplink.collector", "spool.directory", "sources.logins.journalctl", "x"]
    )
    values = st.sampled_from(["true", "false", "1", "0.5", "5000", '"all"', "[]", '["/var/www"]', "{}", "'", "1e400"])
    lines = data.draw(st.lists(st.tuples(keys, values), max_size=3))
    document = "version = 1\nagents = ['*']\n[settings]\n" + "\n".join(f"{key} = {value}" for key, value in lines)
    raw = data.draw(st.one_of(st.just(document.encode()), st.binary(max_size=80)))
    bench = Bench(tmp_path_factory.mktemp("policy"))
    signature = bench.signer.sign(raw) if data.draw(st.booleans()) else data.draw(st.binary(max_size=70))
    policies = bench.start()
    try:
        bench.tell(Given(1, raw, signature))
        with bench.news:
            assert bench.news.wait_for(lambda: bench.said, 20)
        if bench.said[0][1] == "refused":
            assert bench.host.in_force == []
            assert not (bench.folder / "policy").exists()
        else:
            bench.ticks = 2.0
            bench.wait(1, "applied")
            assert all(ALLOWED[key].fault(value) is None for key, value in bench.host.settings.items())
        assert count(policies, "failures") == 0
    finally:
        bench.stop()
