"""Renews our certificate when a third of its validity is left, in the uplink's event loop: asleep until then.

A new key each time. The files are replaced as `pair` does; connections made from then on use the new certificate, and
the old one is good until its end, so nothing is interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import grpc
from luytre_common import tls
from luytre_common.errors import LuytreError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent import pair, signing
from luytre_agent.certificate import Facts, facts
from luytre_agent.uplink.channel import Config, open_channel

_log = logging.getLogger("luytre.uplink")

#: Longest sleep: clocks are set, and machines are suspended.
_LOOK_S = 3600.0
_TIMEOUT_S = 30.0


def due_at(mine: Facts, random: float) -> float:
    """When to renew, seconds since 1970: a third to a quarter of the validity before its end. `random`: from 0 to 1."""
    begins, ends = mine.not_before.timestamp(), mine.not_after.timestamp()
    return ends - (ends - begins) * (1 / 3 - random / 12)


def wait_s(left_s: float, random: float) -> float:
    """Seconds until another attempt, if this one failed and so much validity is left: many attempts before the end,
    an hour apart at most, and at least a second. After the end only a clock that is set can help: an hour. `random`:
    from 0 to 1."""
    return (max(1.0, min(_LOOK_S, left_s / 20)) if left_s > 0 else _LOOK_S) * (0.5 + random)


class Renewal:
    """Sees to the next certificate. `clock`: seconds since 1970."""

    def __init__(
        self,
        config: Config,
        tls_config: tls.Config,
        identity: tls.Identity,
        random: Callable[[], float],
        counters: Counters,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._tls = tls_config
        self._identity = identity
        self._random = random
        self._counters = counters
        self._clock = clock
        self._told = ""

    def left_s(self) -> int:
        """How long our certificate is good, seconds; 0 if it is not."""
        try:
            return max(0, int(facts(self._identity.certificate).not_after.timestamp() - self._clock()))
        except ValueError:
            return 0

    async def keep(self, adopt: Callable[[tls.Identity], None]) -> None:
        """Renew again and again; `adopt` is given each new identity."""
        while True:
            try:
                mine = facts(self._identity.certificate)
            except ValueError as error:
                _log.warning("%s: %s; it cannot be renewed", self._tls.certificate, error)
                return
            due = due_at(mine, self._random())
            while (left := due - self._clock()) > 0:
                await asyncio.sleep(min(left, _LOOK_S))
            if not await self._renew(mine.common_name, adopt):
                await asyncio.sleep(wait_s(mine.not_after.timestamp() - self._clock(), self._random()))

    async def _renew(self, name: str, adopt: Callable[[tls.Identity], None]) -> bool:
        try:
            certificate = await self._ask(name)
            self._identity = await asyncio.to_thread(pair.install, self._tls, certificate.certificate, name)
        except grpc.RpcError as error:
            code = error.code().name.lower()
            self._failed(code, f"collector {self._config.collector}: {code}: {error.details()}")
        except (LuytreError, OSError, ValueError) as error:
            self._failed("file", str(error))
        except Exception as error:  # noqa: BLE001 # nobody else looks at this task, and the certificate would end
            self._failed("failed", f"{type(error).__name__}: {error}")
        else:
            adopt(self._identity)
            self._counters.add("renewals")
            self._told = ""
            ends = facts(self._identity.certificate).not_after
            _log.info("certificate renewed: %s is good until %s", name, f"{ends:%Y-%m-%d %H:%M} UTC")
            return True
        return False

    async def _ask(self, name: str) -> pb.Certificate:
        key = await asyncio.to_thread(pair.next_key, self._tls)
        request = pb.RenewRequest(signing_request=signing.signing_request(key, name))
        async with open_channel(self._config, self._identity) as channel:
            return await service.renew(channel, request, _TIMEOUT_S)

    def _failed(self, cause: str, reason: str) -> None:
        self._counters.add("renewals_failed", label=cause)
        if reason != self._told:  # once, not at every attempt
            self._told = reason
            _log.warning("certificate not renewed, it is good for %d h yet: %s", self.left_s() // 3600, reason)
