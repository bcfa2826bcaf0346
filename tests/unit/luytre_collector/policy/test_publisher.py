from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.policy.folder import Folder, Published
from luytre_collector.policy.publisher import Publisher
from luytre_common.policy import Signed, pack
from luytre_common.telemetry import Counters

from tests.support.policies import Signer


def test_what_is_in_time_is_handed_on_and_what_is_none_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signer, counters, now = Signer(), Counters("policy"), [1.7e9]
    got: list[tuple[Published, ...]] = []
    publisher = Publisher(Folder(tmp_path), got.append, lambda: now[0], counters)
    publisher.run()
    given = signer.given(1, more="not_before = 2026-01-01T00:00:00Z")
    (tmp_path / "a.policy").write_bytes(pack(Signed(given.document, given.signature)))
    (tmp_path / "b.policy").write_bytes(b"?")
    publisher.run()
    now[0] = 1.78e9
    publisher.run()
    assert [len(one) for one in got] == [0, 0, 1]
    assert (counters.get("policies_published"), counters.get("policies_unsound")) == (1, 1)
    assert caplog.text.count("policy not passed on") == 1
