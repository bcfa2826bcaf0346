from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from luytre_agent.sources.processes import Config, Processes
from luytre_common.errors import Unavailable

from tests.support.audit import Audit, execs, never
from tests.support.processes import Watch, is_row, opened_by, run

pytestmark = pytest.mark.root


@pytest.fixture
def audit() -> Iterator[Audit]:
    """Audit that nobody owns; after the test it has to be as it was before."""
    audit = Audit()
    before, rules = audit.settings(), audit.rules()
    if before["owner"] or ours(audit):
        audit.close()
        pytest.skip("somebody owns audit on this host, or another agent uses it")
    yield audit
    found = audit.settings(), audit.rules()
    audit.close()
    assert found == (before, rules)


def ours(audit: Audit) -> list[bytes]:
    """Our rules by their keys."""
    return [rule[1040:] for rule in audit.rules() if rule[1040:].startswith(b"luytre:")]


def test_rules_are_removed_and_settings_put_back(audit: Audit) -> None:
    before = audit.settings()
    watch = Watch(rung="audit")
    during = audit.settings()
    keys = ours(audit)
    pid, _ = run("/bin/true")
    watch.exec_of(pid)
    watch.source.close()
    assert during == {**before, "enabled": 1, "failure": 0, "backlog_limit": 8192, "backlog_wait_time": 0}
    assert keys
    assert all(key.startswith(f"luytre:{os.getpid()}:".encode()) for key in keys)
    assert list(watch.source.lacking) == ["rules of our own", "ends from the proc connector"]


CRASH = "from luytre_agent import _core\nevents = _core.ProcessEvents('audit')\nprint('open', flush=True)\ninput()"


def crashed() -> None:
    """An agent that is killed while it audits."""
    with subprocess.Popen([sys.executable, "-c", CRASH], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        process.kill()


def test_after_a_crash_the_next_one_puts_back_what_was_before(audit: Audit) -> None:
    before = audit.settings()
    crashed()
    assert ours(audit)
    assert audit.settings() != before
    watch = Watch(rung="audit")
    keys = ours(audit)
    watch.source.close()
    assert all(key.startswith(f"luytre:{os.getpid()}:".encode()) for key in keys)
    # The fixture sees that all is as before the crash.


def test_two_agents_share_the_rules_of_the_first(audit: Audit) -> None:
    first = Watch(rung="audit")
    keys = ours(audit)
    told = opened_by([], "audit")  # as `luytre-agent check` does beside the agent
    assert (told["error"], told["notes"][0]) == ("", "rules of others, which are only read")
    assert ours(audit) == keys
    pid, _ = run("/bin/true", "after the other one has gone")
    assert first.exec_of(pid)["process_command_line"] == "/bin/true after the other one has gone"
    first.source.close()


@pytest.fixture
def owner(audit: Audit) -> Iterator[Audit]:
    """Audit without rules that is owned by this process, as it would be by auditd."""
    if audit.rules():
        pytest.skip("audit has rules on this host")
    owner = Audit()
    owner.set("owner", os.getpid())
    yield owner
    owner.set("owner", 0)
    owner.close()


def test_an_owner_of_audit_is_left_alone(owner: Audit) -> None:
    before = owner.settings()
    with pytest.raises(Unavailable) as caught:
        Processes(Config(rung="audit")).open()
    assert f"auditd owns audit (pid {os.getpid()}) and has no rule for every execve" in caught.value.reason
    assert "-a always,exit -F arch=b64 -S execve,execveat" in caught.value.remedy
    assert (owner.settings(), owner.rules()) == (before, [])


def test_a_rule_that_blinds_audit_is_named(audit: Audit) -> None:
    with audit.rule(never()), pytest.raises(Unavailable, match="task,never"):
        Processes(Config(rung="audit")).open()


def test_it_says_when_somebody_becomes_the_owner(audit: Audit) -> None:
    watch = Watch(rung="audit")
    owner = Audit()
    owner.set("owner", os.getpid())
    with pytest.raises(Unavailable, match=f"process {os.getpid()} has become the owner of audit"):
        watch.until(lambda _: False)
    assert audit.settings()["backlog_limit"] == 8192
    owner.set("owner", 0)
    owner.close()
    watch.source.close()  # nobody owns it any longer, so settings go back too
    assert not ours(audit)


def test_what_audit_does_not_tell_of_is_told_by_the_connector(audit: Audit) -> None:
    watch = Watch(rung="audit")
    with audit.rule(never()):
        process = subprocess.Popen(["/bin/cat", "unaudited"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        plain = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    row = watch.exec_of(plain.pid)
    for one in (process, plain):
        one.communicate()
    watch.exit_of(plain.pid)
    watch.source.close()
    assert row["process_command_line"] == "/bin/cat"
    assert len([one for one in watch.rows if is_row(one, "exec", process.pid)]) == 1
    assert watch.counters()["unaudited"] >= 2


def test_records_of_an_owners_rules_are_read(owner: Audit) -> None:
    before = owner.settings()["enabled"]
    owner.set("enabled", 1)
    with owner.rule(execs()):
        watch = Watch(rung="audit")
        pid, _ = run("/bin/true", "by the rules of others")
        row = watch.exec_of(pid)
        watch.source.close()
    owner.set("enabled", before)
    assert row["process_command_line"] == "/bin/true by the rules of others"
    assert next(iter(watch.source.lacking)) == "rules of others, which are only read"
