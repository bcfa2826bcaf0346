"""One request to one response: where it goes, who asks, what is asked, what is said."""

from __future__ import annotations

import asyncio
import logging
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

from luytre_common.errors import LuytreError, UserError
from luytre_common.telemetry import Counters, RateLimited

from luytre_collector.attempts import Attempts
from luytre_collector.httpd import asked, frames, native, replies
from luytre_collector.httpd.asked import Asked, Login
from luytre_collector.httpd.config import Config
from luytre_collector.httpd.users import Users
from luytre_collector.httpd.wire import Request, Response
from luytre_collector.store.guest import ACCESS_DENIED, READONLY, Answer, AnswerError, Question

_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_ALLOW = {"Allow": ", ".join(_METHODS)}
#: Characters of a statement in the log; its literals are left out.
_LOGGED = 200
#: Below this, compression makes an answer longer.
_COMPRESSED_FROM = 256
_QUIET_S = 10.0
_log = logging.getLogger("luytre.http")


class Desk:
    """Answers requests. Driven by one event loop; what takes time happens in threads of its own."""

    def __init__(
        self,
        config: Config,
        ask: Callable[[Question], Answer],
        users: Users,
        name: str,
        version: str,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._ask = ask
        self._users = users
        self._name = name
        self._version = version
        self._counters = counters
        self._attempts = Attempts(clock)
        self._quiet = RateLimited(clock, _QUIET_S)
        self._slots = asyncio.Semaphore(config.max_queries)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(config.max_queries, thread_name_prefix="http")
        # Passwords have threads of their own, few, because each check takes 32 MiB; queries must not wait for them.
        self._doormen = ThreadPoolExecutor(2, thread_name_prefix="http-login")

    def close(self) -> None:
        """Wait for what runs; each query is bound in time."""
        self._doormen.shutdown()
        self._threads.shutdown()

    @asynccontextmanager
    async def answer(self, request: Request, peer: str) -> AsyncIterator[Response]:
        """The response. While inside, a query's answer takes the place of a query: few are in memory at a time."""
        self._counters.add("requests")
        try:
            path, parameters = asked.split(request.target)
            known = self._without_login(request, path, parameters)
            if known is not None:
                yield known
                return
            one = asked.asked(request, parameters)
            await self._let_in(one.login, peer)
        except AnswerError as error:
            self._refused(error)
            yield self._error(error)
            return
        headers = {"X-ClickHouse-Query-Id": one.query_id or str(uuid.uuid4())}
        try:
            await self._slot()
        except AnswerError as error:
            self._refused(error)
            yield self._error(error, headers)
            return
        try:
            response = await self._answered(one)
            yield self._named(response, headers)
        finally:
            self._slots.release()

    def _without_login(self, request: Request, path: str, parameters: Mapping[str, str]) -> Response | None:
        if request.method not in _METHODS:
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, b"", _ALLOW)
        if request.method == "OPTIONS":
            return Response(HTTPStatus.NO_CONTENT, b"", _ALLOW)
        if path in ("/ping", "/replicas_status") or (path == "/" and not parameters and not request.body):
            return self._named(replies.plain("Ok.\n"))
        if path != "/":
            return replies.plain(
                "There is no handle for this path\n\nUse / with a query, or /ping for health checks.\n",
                HTTPStatus.NOT_FOUND,
            )
        return None

    async def _let_in(self, login: Login, peer: str) -> None:
        """AnswerError unless the login is good."""
        try:
            self._users.refresh()
        except UserError as error:
            self._counters.add("users_unreadable")
            if self._quiet.ready("users"):
                _log.error("%s; the users stay as they were", error)
        if login == Login():
            raise AnswerError(
                "default: Authentication failed: give a name and a password. (REQUIRED_PASSWORD)",
                replies.REQUIRED_PASSWORD,
            )
        if self._users.knows(login):
            return
        wait = self._attempts.wait_s(peer, login.user)
        if wait:
            raise AnswerError(
                f"too many failed logins; come back in {wait:.0f} s. (AUTHENTICATION_FAILED)",
                replies.AUTHENTICATION_FAILED,
            )
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._doormen, self._users.check, login):
            self._attempts.failed(peer, login.user)
            self._counters.add("logins_failed")
            if self._quiet.ready("login"):
                left_out = self._quiet.left_out("login")
                _log.warning("failed login of %s from %s (%d more left out)", login.user[:64], peer, left_out)
            raise AnswerError(
                f"{login.user[:64]}: Authentication failed: password is incorrect, or there is no user with such name."
                " (AUTHENTICATION_FAILED)",
                replies.AUTHENTICATION_FAILED,
            )

    def _within_rights(self, one: Asked) -> Asked:
        """The question with whose rows are there for it. AnswerError if its user has gone meanwhile."""
        organisations = self._users.organisations(one.login.user)
        if organisations is None:
            raise AnswerError(
                f"{one.login.user[:64]}: Authentication failed: there is no such user any more."
                " (AUTHENTICATION_FAILED)",
                replies.AUTHENTICATION_FAILED,
            )
        return replace(one, question=replace(one.question, organisations=organisations))

    async def _slot(self) -> None:
        if self._slots.locked() and self._waiting >= self._config.max_waiting:
            raise AnswerError(
                "Too many simultaneous queries; try again. (TOO_MANY_SIMULTANEOUS_QUERIES)", replies.TOO_MANY_QUERIES
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1

    async def _answered(self, one: Asked) -> Response:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run, self._within_rights(one))
        except AnswerError as error:
            self._refused(error)
            _log.info("query of %s refused, code %d", one.login.user, error.code)
            return self._error(error)
        except LuytreError as error:
            self._counters.add("requests_refused", label="store")
            return self._error(AnswerError(f"{error}. (NETWORK_ERROR)", replies.UNAVAILABLE))

    def _run(self, one: Asked) -> Response:
        """In a thread."""
        answer = self._ask(one.question)
        millis = round(answer.elapsed_s * 1000)
        self._counters.add("queries")
        self._counters.add("query_ms", millis)
        self._counters.add("answer_rows", answer.result_rows)
        self._counters.add("answer_bytes", len(answer.body))
        self._counters.add("settings_ignored", answer.ignored)
        _log.info(
            "query of %s: %d ms, %d rows, %d bytes: %s",
            one.login.user, millis, answer.result_rows, len(answer.body), answer.normal[:_LOGGED],
        )  # fmt: skip
        if answer.form == "Native" and one.revision >= native.REVISION:
            answer = replace(answer, body=native.revised(answer.body))
        if one.framed:
            return replies.answered(answer, frames.framed(answer.body))
        if one.compressed and len(answer.body) >= _COMPRESSED_FROM:
            response = replies.answered(answer, _gzip(answer.body))
            return replace(
                response, headers={**response.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            )
        return replies.answered(answer, answer.body)

    def _refused(self, error: AnswerError) -> None:
        self._counters.add("requests_refused", label=_CAUSES.get(error.code, "query"))

    def _error(self, error: AnswerError, headers: Mapping[str, str] | None = None) -> Response:
        return self._named(replies.error(error.code, str(error), self._version), headers)

    def _named(self, response: Response, headers: Mapping[str, str] | None = None) -> Response:
        display = {"X-ClickHouse-Server-Display-Name": self._name}
        return replace(response, headers={**response.headers, **display, **(headers or {})})


#: Why requests are refused, by the number of the error; all others are faults of the query.
_CAUSES = {
    ACCESS_DENIED: "rights",
    READONLY: "rights",
    replies.REQUIRED_PASSWORD: "login",
    replies.AUTHENTICATION_FAILED: "login",
    replies.TOO_MANY_QUERIES: "busy",
    replies.NOT_IMPLEMENTED: "not_served",
}


def _gzip(body: bytes) -> bytes:
    """Fast rather than small: answers travel on one machine or one network."""
    return zlib.compress(body, 1, zlib.MAX_WBITS | 16)
