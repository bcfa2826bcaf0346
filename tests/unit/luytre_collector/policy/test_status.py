from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.policy.folder import Published
from luytre_collector.policy.status import statuses
from luytre_common.policy import Signed, read

from tests.support.policies import Signer


def row(in_force: int = 0, version: int = 0, state: str = "") -> dict[str, object]:
    return {
        "agent_id": "web-01", "host_name": "h", "version": version, "state": state, "message": "m",
        "heard": "2026-11-23 02:11:05.000000", "in_force": in_force,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "due", "verdict", "bad"),
    [
        (row(12, 12, "applied"), 12, "current", False),
        (row(11, 12, "trying"), 12, "trying", False),
        (row(11, 12, "rolled_back"), 12, "rolled back", True),
        (row(11, 12, "refused"), 12, "refused", True),
        (row(11, 11, "applied"), 12, "behind", False),
        (row(), 12, "behind", False),
        (row(12, 9, "refused"), 12, "current", False),
        (row(), 0, "none is due", False),
        (row(12, 12, "applied"), 0, "older one goes on", False),
        (row(0, 12, "expired"), 0, "none is due", False),
    ],
)
def test_verdicts(given: dict[str, object], due: int, verdict: str, bad: bool) -> None:
    one = Signer().given(due or 1, agents="web-*" if due else "db-*", more='group = "g"')
    policy = Published(Path("x"), Signed(one.document, one.signature), read(one.document))
    (found,) = statuses([given], [policy])
    assert (found.verdict, found.bad, found.due, found.group) == (verdict, bad, due, "g" if due else "")
    assert found.to_json()["agent_id"] == "web-01"
