from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.policy.folder import MAX_POLICIES, Folder, best, in_time, open_file, publish, verified
from luytre_common.errors import UserError
from luytre_common.policy import Signed, pack

from tests.support.policies import Signer

SIGNER = Signer()


def signed(version: int, agents: str = "*", more: str = "", signer: Signer = SIGNER) -> bytes:
    given = signer.given(version, agents=agents, more=more)
    return pack(Signed(given.document, given.signature))


def put(folder: Path, name: str, raw: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(raw)
    return path


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Folder(tmp_path / "none").read() == ((), ())


def test_the_highest_version_that_is_for_an_agent_wins(tmp_path: Path) -> None:
    put(tmp_path, "a.policy", signed(3, "web-*"))
    put(tmp_path, "b.policy", signed(12, "db-*"))
    put(tmp_path, "c.policy", signed(7, "*"))
    put(tmp_path, "d.policy.new", b"not yet")
    policies, faults = Folder(tmp_path).read()
    assert ([one.document.version for one in policies], faults) == ([12, 7, 3], ())
    found = {name: best(policies, name) for name in ("web-01", "db-01")}
    assert {name: one.document.version for name, one in found.items() if one} == {"web-01": 7, "db-01": 12}
    assert best((), "web-01") is None


def test_what_is_none_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    put(tmp_path, "a.policy", b"version = 1")
    put(tmp_path, "b.policy", signed(2))
    put(tmp_path, "c.policy", signed(3, signer=Signer()))
    folder = Folder(tmp_path, (SIGNER.key,))
    policies, faults = folder.read()
    assert [one.document.version for one in policies] == [2]
    assert "a.policy: not a signed policy" in faults[0]
    assert "c.policy: not signed by a key of policy.key" in faults[1]
    put(tmp_path, "a.policy", signed(9))
    assert [one.document.version for one in folder.read()[0]] == [9, 2]


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, "a.policy", signed(1))
    folder = Folder(tmp_path)
    (first,), _ = folder.read()
    assert folder.read()[0][0] is first


def test_of_a_folder_that_is_not_ours_not_everything_is_read(tmp_path: Path) -> None:
    for number in range(MAX_POLICIES + 1):
        put(tmp_path, f"{number:05}.policy", b"")
    policies, faults = Folder(tmp_path).read()
    assert (policies, len(faults)) == ((), MAX_POLICIES + 1)
    assert "1001 policies; the first 1000" in faults[-1]


def test_only_those_whose_time_it_is(tmp_path: Path) -> None:
    put(tmp_path, "a.policy", signed(1, more="not_before = 2026-01-01T00:00:00Z\nexpires = 2027-01-01T00:00:00Z"))
    policies, _ = Folder(tmp_path).read()
    assert [len(in_time(policies, now)) for now in (1.76e9, 1.78e9, 1.80e9)] == [0, 1, 0]


def test_a_signature_is_by_one_of_the_keys() -> None:
    given = SIGNER.given(1)
    one = Signed(given.document, given.signature)
    assert verified(one, (Signer().key, SIGNER.key))
    assert not verified(one, (Signer().key, bytes(31)))
    assert not verified(one, ())


def test_publishing(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    path = publish(open_file(put(tmp_path, "x", signed(3, more='group = "cổng 1"'))), folder)
    assert path == folder / "c_ng_1-3.policy"
    assert [one.name for one in folder.iterdir()] == [path.name]
    assert publish(open_file(tmp_path / "x"), folder) == path  # the same again
    for version in (2, 3):
        other = signed(version, "web-*", 'group = "cổng 1"')
        with pytest.raises(UserError, match=rf"version {version}, but .* has version 3 already; give it a higher"):
            publish(open_file(put(tmp_path, "y", other)), folder)
    assert publish(open_file(put(tmp_path, "z", signed(2))), folder).name == "policy-2.policy"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give a folder that you may write to with --dir"):
        publish(open_file(tmp_path / "z"), tmp_path / "file/x")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: No such file or directory; give an existing file"):
        open_file(tmp_path / "none")
