"""Which policy every agent has, and which it should have. Pure: rows in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from luytre_collector.policy.folder import Published, best

#: The newest report of every agent, and the version that it has in force: the last one applied, 0 once that expired.
#: Agents that delivered anything within a day are there also if they never spoke of a policy.
SQL = """
SELECT agent_id, host_name, version, state, message, heard, in_force FROM (
    SELECT
        agent_id,
        argMax(host_name, (event_time, sequence)) AS host_name,
        argMax(policy_version, (event_time, sequence)) AS version,
        argMax(policy_state, (event_time, sequence)) AS state,
        argMax(policy_message, (event_time, sequence)) AS message,
        toString(max(event_time)) AS heard,
        argMaxIf(if(policy_state = 'applied', policy_version, 0), (event_time, sequence),
                 policy_state IN ('applied', 'expired')) AS in_force
    FROM luytre.policy_reports GROUP BY agent_id
    UNION ALL
    SELECT agent_id, any(host_name), 0, '', '', '', 0 FROM luytre.agent_health
    WHERE collector_time > now() - 86400 AND agent_id NOT IN (SELECT agent_id FROM luytre.policy_reports)
    GROUP BY agent_id
) ORDER BY agent_id
"""


@dataclass(frozen=True, slots=True)
class Status:
    """One agent. in_force: the version that it says is in force, 0 for none; due: the one it should have, 0 for none.

    state and message are those of its newest report, about `version`; heard: when, UTC.
    """

    agent_id: str
    host_name: str
    in_force: int
    due: int
    group: str
    verdict: str
    version: int
    state: str
    message: str
    heard: str

    @property
    def bad(self) -> bool:
        """Whether the policy that is due did not come through."""
        return self.verdict in ("refused", "rolled back")

    def to_json(self) -> dict[str, Any]:
        """As one object."""
        return asdict(self)


def statuses(rows: Iterable[Mapping[str, Any]], policies: Sequence[Published]) -> list[Status]:
    """Every agent; policies with the highest version first."""
    return [_status(row, best(policies, str(row["agent_id"]))) for row in rows]


def _status(row: Mapping[str, Any], policy: Published | None) -> Status:
    due = policy.document.version if policy else 0
    in_force, version, state = int(row["in_force"]), int(row["version"]), str(row["state"])
    return Status(
        str(row["agent_id"]),
        str(row["host_name"]),
        in_force,
        due,
        policy.document.group if policy else "",
        _verdict(in_force, due, version, state),
        version,
        state,
        str(row["message"]),
        str(row["heard"]),
    )


def _verdict(in_force: int, due: int, version: int, state: str) -> str:
    if version == due and state in ("refused", "rolled_back", "trying", "expired"):
        return state.replace("_", " ")
    if not due:
        return "none is due" if not in_force else "older one goes on"
    return "current" if in_force == due else "behind"
