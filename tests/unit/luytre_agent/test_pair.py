"""Certificate and key change together, whatever the moment of a crash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import pair, signing
from luytre_agent.certificate import facts
from luytre_common import tls
from luytre_common.errors import UserError

from tests.support.collector_end import Authority


class Scene:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "pki")
        self.files = self.authority.issue("web-01")
        self.before = tls.read(self.files, "agent")

    def certificate(self, name: str = "web-01", authority: Authority | None = None) -> bytes:
        key = pair.next_key(self.files)
        return (authority or self.authority).sign(signing.signing_request(key, name))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_install(scene: Scene) -> None:
    certificate = scene.certificate()
    identity = pair.install(scene.files, certificate, "web-01")
    assert identity.certificate == certificate
    assert tls.read(scene.files, "agent") == identity
    assert scene.files.key.stat().st_mode & 0o777 == 0o600
    left = sorted(path.name for path in scene.files.key.parent.iterdir())
    assert left == sorted([
        "authority.key", "authority.pem", "web-01.key", "web-01.key.old", "web-01.pem", "web-01.pem.old",
    ])  # fmt: skip
    assert scene.files.key.with_name("web-01.key.old").read_bytes() == scene.before.key


def test_a_key_that_waits_is_used(scene: Scene) -> None:
    key = pair.next_key(scene.files)
    assert pair.next_key(scene.files) == key
    path = pair.next_of(scene.files.key)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(key[:40])
    assert pair.next_key(scene.files) != key


@pytest.mark.parametrize("fault", ["name", "authority", "key", "nonsense"])
def test_what_does_not_fit_changes_nothing(scene: Scene, tmp_path: Path, fault: str) -> None:
    certificate = {
        "name": lambda: scene.certificate("web-02"),
        "authority": lambda: scene.certificate(authority=Authority(tmp_path / "other")),
        "key": lambda: scene.authority.sign(signing.signing_request(signing.new_key(), "web-01")),
        "nonsense": lambda: b"nonsense",
    }[fault]()
    pair.next_key(scene.files)
    with pytest.raises(UserError):
        pair.install(scene.files, certificate, "web-01")
    assert tls.read(scene.files, "agent") == scene.before
    pair.settle(scene.files)
    assert tls.read(scene.files, "agent") == scene.before


class CrashError(Exception):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Every change of the file system counts; the one with this number does not happen, nor any after it."""
    done = 0

    def guard(real: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal done
            done += 1
            if done > step:
                raise CrashError
            return real(*arguments, **keywords)

        return call

    monkeypatch.setattr(Path, "replace", guard(Path.replace))
    monkeypatch.setattr(Path, "unlink", guard(Path.unlink))
    monkeypatch.setattr(os, "link", guard(os.link))
    monkeypatch.setattr(os, "fsync", guard(os.fsync))
    return lambda: done


def test_a_crash_at_every_step_leaves_a_pair(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    certificate = scene.certificate()
    shutil.copytree(scene.files.key.parent, kept)
    for step in range(100):
        shutil.rmtree(scene.files.key.parent)
        shutil.copytree(kept, scene.files.key.parent)
        with monkeypatch.context() as patched:
            done = crash_at(patched, step)
            try:
                pair.install(scene.files, certificate, "web-01")
            except CrashError:
                pass
            else:
                assert done() == step
                break
        pair.settle(scene.files)
        now = tls.read(scene.files, "agent")
        assert facts(now.certificate).common_name == "web-01"
        assert now.certificate in (scene.before.certificate, certificate), step
        fresh = scene.certificate()  # and it can be done once more
        pair.install(scene.files, fresh, "web-01")
        assert tls.read(scene.files, "agent").certificate == fresh
    else:
        pytest.fail("it never came to its end")
    assert step > 8


def test_half_a_certificate_is_thrown_away(scene: Scene) -> None:
    certificate = scene.certificate()
    pair.next_of(scene.files.certificate).write_bytes(certificate[:100])
    pair.settle(scene.files)
    assert tls.read(scene.files, "agent") == scene.before
    assert not pair.next_of(scene.files.certificate).exists()


def test_faults_name_the_file(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none/x: No such file or directory; the agent's user must be able"):
        pair.write(tmp_path / "none/x", b"", 0o600)


@pytest.mark.root
def test_what_root_makes_belongs_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    for user in (0, 12345):
        os.chown(tmp_path, user, user)
        pair.write(tmp_path / "key", b"x", 0o600)
        made = (tmp_path / "key").stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (user, user, 0o600)
