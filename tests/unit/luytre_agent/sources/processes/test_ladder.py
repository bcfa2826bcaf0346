from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from luytre_agent import _core
from luytre_agent.sources import processes
from luytre_agent.sources.processes import Config, Processes
from luytre_common.errors import ConfigError, Unavailable
from luytre_common.settings import load

from tests.support.processes import Watch, opened, opened_by


@pytest.mark.root
@pytest.mark.parametrize(
    ("capabilities", "rung"), [(["+bpf", "+perfmon"], "ebpf"), (["+net_admin"], "cn_proc")], ids=["ebpf", "cn_proc"]
)
def test_few_rights_are_enough(capabilities: list[str], rung: str) -> None:
    opened(Config(rung="ebpf")).close()
    sets = [f"--{name}={','.join(['-all', *capabilities])}" for name in ("inh-caps", "bounding-set")]
    assert opened_by(["setpriv", *sets], rung)["error"] == ""


@pytest.mark.root
def test_every_rung_gives_a_process_the_same_identity() -> None:
    watches = [Watch(rung=rung) for rung in processes.LADDER]
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        found = {watch.exec_of(process.pid)["process_entity_id"] for watch in watches}
        process.communicate()
    for watch in watches:
        watch.source.close()
    assert len(found) == 1
    assert 0 not in found


@pytest.mark.root
def test_the_best_rung_is_taken_by_itself() -> None:
    opened(Config(rung="ebpf")).close()
    source = opened(Config())
    assert (source.rung, source.refused) == ("ebpf", [])
    source.close()
    assert source.poll(0.0) == ()
    assert {sample.label for sample in source.samples()} == {"ebpf"}


NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.mark.root
def test_without_rights_it_says_why_and_what_would_help() -> None:
    opened(Config(rung="ebpf")).close()
    told = opened_by(NO_RIGHTS, "ebpf")
    assert told["error"].startswith("process events: ebpf: ")
    assert "Operation not permitted" in told["error"]
    assert told["error"].endswith("give it CAP_BPF and CAP_PERFMON, or CAP_AUDIT_CONTROL and CAP_AUDIT_READ")
    assert told["samples"] == [["refused", "ebpf"]]


@pytest.mark.root
def test_without_rights_the_last_rung_holds_and_the_others_are_named() -> None:
    told = opened_by(NO_RIGHTS, "auto")
    assert [rung for rung, _ in told["refused"]][:2] == ["ebpf", "audit"]
    assert told["refused"][1][1] == "Operation not permitted (os error 1)"
    assert ["refused", "audit"] in told["samples"]
    # Since Linux 6.6 everybody may listen to the proc connector.
    assert told["rung"] in ("cn_proc", "proc")
    assert any("CAP_AUDIT_READ" in remedy for remedy in told["remedies"])


@pytest.mark.root
def test_few_rights_are_enough_for_audit() -> None:
    few = "-all,+audit_control,+audit_read,+net_admin"
    told = opened_by(["setpriv", f"--inh-caps={few}", f"--bounding-set={few}"], "audit")
    assert (told["error"], told["notes"]) == ("", ["rules of our own", "ends from the proc connector"])


@pytest.mark.root
def test_in_a_pid_namespace_of_its_own_it_says_so() -> None:
    opened(Config(rung="ebpf")).close()
    told = opened_by(["unshare", "--pid", "--fork", "--mount-proc"], "auto")
    refused = dict(told["refused"])
    assert refused["ebpf"].startswith("the agent is not in the host's pid namespace")
    assert refused["audit"].startswith("the agent is not in the host's pid namespace")
    assert refused["cn_proc"].startswith("the kernel did not answer")
    assert told["remedies"] == ["run the agent on the host, or its container with the host's namespaces"]
    assert "only processes of this pid namespace are seen, which is not the host's" in told["notes"]


@pytest.mark.root
def test_in_a_network_namespace_of_its_own_audit_says_so() -> None:
    told = opened_by(["unshare", "--net"], "audit")
    assert "the agent is not in the host's network namespace" in told["error"]
    assert told["error"].endswith("run the agent on the host, or its container with the host's namespaces")


@pytest.mark.root
def test_what_hidepid_hides_is_said() -> None:
    plain = "setpriv --reuid=www-data --regid=www-data --clear-groups"  # group root would see all
    mount = f'mount -t proc -o hidepid=2 proc /proc && {plain} "$0" "$@"; exit'
    told = opened_by(["unshare", "--mount", "--pid", "--fork", "sh", "-c", mount], "proc")
    assert told["rung"] == "proc"
    assert any("hidden from this agent (hidepid of /proc)" in note for note in told["notes"])


def test_a_rung_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no rung kprobe; give ebpf, audit, cn_proc or proc"):
        _core.ProcessEvents("kprobe")
    with pytest.raises(ValueError, match="batch_rows is 0"):
        _core.ProcessEvents("ebpf", batch_rows=0)
    with pytest.raises(ValueError, match="batch_seconds"):
        _core.ProcessEvents("ebpf", batch_seconds=float("nan"))


def test_every_fault_of_the_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('rung = "kprobe"\nring_bytes = 5000\nbatch_rows = 0\n')
    with pytest.raises(ConfigError) as caught:
        load(Config, path)
    assert len(caught.value.faults) == 3
    assert any("is not a power of two" in fault for fault in caught.value.faults)


def test_nothing_is_built_when_it_is_off() -> None:
    assert processes.build(Config(enabled=False)) == {}
    made = processes.build(Config())["processes"]()
    assert (made.name, made.finished, list(made.poll(0.0)), list(made.close())) == ("processes", False, [], [])


@pytest.mark.root
def test_a_ring_of_odd_size_is_unavailable_not_a_crash() -> None:
    opened(Config(rung="ebpf")).close()
    with pytest.raises(Unavailable, match="power of two"):
        Processes(Config(rung="ebpf", ring_bytes=5000)).open()
