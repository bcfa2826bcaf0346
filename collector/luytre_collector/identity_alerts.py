"""Alerts about certificates: one that two hosts use, and one of this collector that ends soon."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import NO_ADDRESS, Alert, alert_id
from luytre_collector.ingest.address import address_of
from luytre_collector.ingest.clones import Clone

_log = logging.getLogger("luytre.identity")

_CLONED = "7d1f2c54-53f0-4b0e-9a44-2c9c7c0e6b21"
_ENDS_SOON = "c9b7a2f8-0f0c-4a7d-8f5e-6f1a0d3b9e43"
#: Alerts that are remembered as told.
_MOST = 1000
#: Alerts about one certificate in a day: who has stolen it says of its host what it likes, each time something else.
_MOST_OF_ONE = 20
#: Tries to raise one, and seconds between them: the store may be away for a while.
_TRIES, _WAIT_S = 60, 10.0
#: An alert is raised if the collector's own certificate ends within so many days, each day.
SOON_DAYS = 14


class IdentityAlerts:
    """Makes them, each once a day, and raises them in a thread. Lives in the event loop."""

    def __init__(
        self,
        name: str,
        certificate: bytes,
        raise_alerts: Callable[[Sequence[Alert]], None],
        clock: Callable[[], float],
        counters: Counters,
        wait_s: float = _WAIT_S,
    ) -> None:
        """`certificate`: that of this collector, PEM."""
        self._name = name
        self._ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
        self._raise_alerts = raise_alerts
        self._clock = clock
        self._counters = counters
        self._wait_s = wait_s
        self._told: OrderedDict[str, None] = OrderedDict()
        self._day = ""
        self._made: Counter[tuple[str, str]] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()

    def cloned(self, found: Clone) -> None:
        """A certificate is used by two hosts."""
        self._counters.add("clones")
        inside, refused = found.inside_hello, found.refused_hello
        parts = (found.agent_id, inside.machine_id, inside.kernel_boot_id, refused.machine_id, refused.kernel_boot_id)
        self._tell(
            _CLONED,
            parts,
            "Agent Certificate Used From Two Hosts",
            "Chứng thư của một agent được dùng từ hai máy",
            agent_id=found.agent_id,
            host_name=refused.host_name[:253],
            source_ip=address_of(found.refused.address),
            evidence={
                "inside_address": found.inside.address,
                "inside_host_name": inside.host_name[:253],
                "inside_machine_id": inside.machine_id[:128],
                "inside_kernel_boot_id": inside.kernel_boot_id[:64],
                "inside_certificate": found.inside.fingerprint,
                "refused_address": found.refused.address,
                "refused_host_name": refused.host_name[:253],
                "refused_machine_id": refused.machine_id[:128],
                "refused_kernel_boot_id": refused.kernel_boot_id[:64],
                "refused_certificate": found.refused.fingerprint,
            },
        )

    def look(self) -> None:
        """How long the collector's own certificate is good: without it no agent comes in."""
        left_s = max(0, int(self._ends - self._clock()))
        self._counters.set("certificate_expires_in_seconds", left_s)
        if left_s < SOON_DAYS * 86_400:
            self._tell(
                _ENDS_SOON,
                (self._name,),
                "Certificate of the Collector Ends Soon: No Agent Will Come In",
                "Chứng thư của máy thu thập sắp hết hạn: các agent sẽ không kết nối được",
                agent_id=self._name,
                host_name=self._name,
                evidence={"expires": datetime.fromtimestamp(self._ends, UTC).isoformat(), "left_hours": left_s // 3600},
            )

    async def settled(self) -> None:
        """Wait until every alert so far is raised, or given up."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def close(self) -> None:
        """Wait no longer."""
        for task in self._under_way:
            task.cancel()
        await self.settled()

    def _tell(
        self,
        rule: str,
        parts: tuple[str, ...],
        title: str,
        title_vi: str,
        *,
        agent_id: str,
        host_name: str,
        evidence: dict[str, str | int],
        source_ip: bytes = NO_ADDRESS,
    ) -> None:
        now = self._clock()
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        known = alert_id(rule, *parts, day)
        if known in self._told:
            return
        if day != self._day:
            self._day, self._made = day, Counter()
        self._made[rule, agent_id] += 1
        if self._made[rule, agent_id] > _MOST_OF_ONE:
            self._counters.add("alerts_left_out")
            return
        self._told[known] = None
        if len(self._told) > _MOST:
            self._told.popitem(last=False)
        now_us = int(now * 1_000_000)
        made = Alert(
            alert_id=known,
            event_time=now_us,
            alert_created=now_us,
            rule_id=rule,
            rule_name=title,
            rule_name_vi=title_vi,
            rule_level="high",
            rule_kind="query",
            source_ip=source_ip,
            agent_id=agent_id,
            host_name=host_name,
            evidence=evidence,
        )
        task = asyncio.get_running_loop().create_task(self._raise(made))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _raise(self, alert: Alert) -> None:
        for _ in range(_TRIES):
            try:
                await asyncio.to_thread(self._raise_alerts, [alert])
            except Exception as error:  # noqa: BLE001 - nobody else looks at this task
                reason = str(error) or type(error).__name__
            else:
                return
            await asyncio.sleep(self._wait_s)
        self._counters.add("alerts_lost")
        _log.error("alert %r about %s could not be raised: %s", alert.rule_name, alert.agent_id, reason)
