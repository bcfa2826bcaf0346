"""Alerts as JSON over HTTP POST: to a chat service (Slack, Mattermost and others read `text`) or a ticket system.

2xx: delivered. 408, 425, 429, 5xx, timeouts and network errors: again later. Any other answer: never. Redirects are not
followed, because the address is a secret that must not travel on.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from luytre_common.errors import UserError
from luytre_common.settings import at_least, at_most, not_empty, required, setting

from luytre_collector.detect.alert import Alert
from luytre_collector.notify import text
from luytre_collector.notify.base import Channel, Language, TryAgainError, WillNeverWorkError

_AGAIN = frozenset({408, 425, 429})


def http_url(value: str) -> str | None:
    """A setting's check: an http or https address with a host."""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    plain = all(one.isprintable() and one.isascii() and one != " " for one in value)
    return None if fine and plain else "is not an address like https://host/path"


@dataclass(frozen=True)
class Config:
    """Alerts by HTTP POST."""

    name: str = required("name of the channel, stable over restarts", not_empty)
    url: str = required("where to POST", http_url)
    timeout_s: float = setting(10.0, "longest time for one delivery, seconds", at_least(0.1), at_most(300))
    authority: Path | None = setting(None, "PEM file of the authority to trust; the system's if not given")
    token_file: Path | None = setting(None, "file with a bearer token to send")
    language: Language = setting("vi", "language of `text`: vi or en")
    time_zone: str = setting("Asia/Ho_Chi_Minh", "time zone of `text` (IANA name)", text.time_zone)


class Webhook:
    """One HTTP POST per alert."""

    def __init__(self, config: Config) -> None:
        self.name = f"webhook:{config.name}"
        self._config = config
        self._parts = urlsplit(config.url)
        self._headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "luytre-collector"}
        self._context: ssl.SSLContext | None = None
        if self._parts.scheme == "https":
            self._context = _context(config.authority)
        if config.token_file:
            self._headers["Authorization"] = f"Bearer {_token(config.token_file)}"

    def deliver(self, alert: Alert) -> None:
        """POST the alert, within the timeout whatever the other end does."""
        given = text.document(alert, self._config.language, self._config.time_zone)
        body = json.dumps(given, ensure_ascii=False, default=str).encode("utf-8", "replace")
        connection = self._connection()
        watchdog = threading.Timer(self._config.timeout_s, _cut, (connection,))
        watchdog.daemon = True
        watchdog.start()
        try:
            path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
            connection.request("POST", path, body, self._headers)
            status = connection.getresponse().status
        except ssl.SSLCertVerificationError as error:
            raise TryAgainError(f"certificate not trusted: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise TryAgainError(f"{self._parts.hostname}: {error or type(error).__name__}") from None
        finally:
            watchdog.cancel()
            connection.close()
        if 200 <= status < 300:
            return
        if status >= 500 or status in _AGAIN:
            raise TryAgainError(f"{self._parts.hostname}: HTTP {status}")
        raise WillNeverWorkError(f"{self._parts.hostname}: HTTP {status}; check url and token of {self.name}")

    def _connection(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._context:
            return http.client.HTTPSConnection(
                host, self._parts.port, timeout=self._config.timeout_s, context=self._context
            )
        return http.client.HTTPConnection(host, self._parts.port, timeout=self._config.timeout_s)


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a delivery that the other end drags out byte by byte."""
    given: socket.socket | None = connection.sock
    if given is not None:
        try:
            given.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself meanwhile


def _context(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority) if authority else None)
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"{authority}: cannot be used as authority ({error}); give a PEM certificate") from None


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: token cannot be read ({error}); give a file with the token on one line") from None
    if not token.isprintable() or not token:
        raise UserError(f"{path}: the token must be one line; give a file with the token on one line")
    return token


def channels(configs: list[Config]) -> list[Channel]:
    """One channel per table of the configuration."""
    return [Webhook(config) for config in configs]
