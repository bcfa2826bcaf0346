"""Connections to ClickHouse servers through clickhouse-driver: which host, inserts from Arrow, its exceptions as ours.

What was found about clickhouse-driver 0.2.11, and how it is used here:

* It waits for a server's hello as long as for an answer, so a host that hangs would hold up the change to the next one:
  while connecting, both waits are `connect_timeout_s`.
* It tries further hosts itself, but tells nobody which were down, and logs them with a traceback: hosts are tried here.
* Its inserts make a Python object of every value, 3 us a row. `send_data` below writes the same packets from Arrow.
"""

from __future__ import annotations

import contextlib
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from clickhouse_driver import Client, errors
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.defines import DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from luytre_collector.store import native
from luytre_collector.store.base import OldServerError, StoreError, StoreUnavailableError
from luytre_collector.store.errors import NETWORK, name_of, one_line, store_error
from luytre_collector.store.server_config import OLDEST, Config

logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)  # what it warns of is raised, and told in one line

#: Bytes that are compressed and sent at a time.
_FRAME = 1 << 20
#: Less than this is gathered with what comes next.
_SMALL = 1 << 16


class RowClient(Client):  # type: ignore[misc]  # the driver has no types
    """The driver's client, with inserts from Arrow."""

    def insert(self, statement: str, rows: pa.Table, settings: Mapping[str, Any]) -> None:
        """`INSERT INTO ... (columns) VALUES` of these rows, as one block."""
        self.execute(statement, (rows,), settings=dict(settings))

    def send_data(self, sample_block: Any, data: Any, types_check: bool = False, columnar: bool = False) -> int:
        """The driver calls this when the server has said which columns it expects."""
        (rows,) = data
        connection = self.connection
        with_flags = connection.server_info.used_revision >= DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION
        write_varint(ClientPacketTypes.DATA, connection.fout)
        write_binary_str("", connection.fout)
        stream = connection.block_out
        ColumnOrientedBlock().info.write(stream.fout)
        for piece in self.blocks(sample_block.columns_with_types, rows, with_flags):
            for start in range(0, len(piece), _FRAME):
                self._send(piece[start : start + _FRAME])
        connection.fout.flush()
        self.receive_profile_events()
        connection.send_data(ColumnOrientedBlock())  # the end
        self.receive_profile_events()
        return int(rows.num_rows)

    def _send(self, data: native.Piece) -> None:
        """Compressed by the driver, or as it lies in Arrow's memory straight to the socket."""
        connection = self.connection
        stream = connection.block_out
        if stream.fout is not connection.fout:
            stream.fout.write(bytes(data))
            stream.finalize()
        elif len(data) < _SMALL:
            stream.fout.write(bytes(data))
        else:
            stream.fout.flush()
            connection.socket.sendall(data)

    def blocks(self, columns: Sequence[tuple[str, str]], rows: pa.Table, with_flags: bool) -> Iterator[native.Piece]:
        """The bytes of the block; see `native.encode`."""
        return native.encode(columns, rows, with_flags)


class Connector:
    """Makes clients. The host that answered last is asked first; the others follow in the order of the configuration.

    Making one raises UserError for what the configuration names and is not there.
    """

    def __init__(self, config: Config, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._good = config.hosts[0]
        self._lock = threading.Lock()
        self._password = _password(config.password_file)
        _check_files(config)
        if config.compression != "none":
            _require_compression(config.compression)

    def connect(self, database: str) -> RowClient:
        """A connected client. StoreUnavailableError names every host and what is wrong with it."""
        with self._lock:
            first = self._good
        faults: list[tuple[str, StoreUnavailableError]] = []
        for host in [first, *(other for other in self._config.hosts if other != first)]:
            client = self._client(host, database)
            try:
                with mapped(client):
                    _shake_hands(client, self._config)
            except StoreUnavailableError as fault:
                client.disconnect()
                self._counters.add("host_failed", label=host)
                faults.append((host, fault))
                continue
            except BaseException:
                client.disconnect()
                raise
            if host != first:
                self._counters.add("host_changed", label=host)
                with self._lock:
                    self._good = host
            return client
        if len(faults) == 1:
            raise faults[0][1]
        raise StoreUnavailableError("; ".join(str(fault) for _, fault in faults), faults[0][1].cause)

    def _password_now(self) -> str:
        """Read anew, because an operator may have repaired it; the last one if the file is being replaced."""
        with contextlib.suppress(UserError):
            self._password = _password(self._config.password_file)
        return self._password

    def _client(self, host: str, database: str) -> RowClient:
        config = self._config
        name, _, port = host.rpartition(":")
        given = {"ca_certs": config.authority, "certfile": config.certificate, "keyfile": config.key}
        return RowClient(
            host=name.strip("[]"),
            port=int(port),
            database=database,
            user=config.user,
            password=self._password_now(),
            secure=config.tls,
            compression=config.compression if config.compression != "none" else False,
            connect_timeout=config.connect_timeout_s,
            send_receive_timeout=config.connect_timeout_s,
            sync_request_timeout=config.connect_timeout_s,
            client_name="luytre-collector",
            tcp_keepalive=True,
            settings={"server_side_params": True},
            **{name: str(path) for name, path in given.items() if path is not None},
        )


class Link:
    """A client of one database that is made anew when its server has gone."""

    def __init__(self, connector: Connector, database: str) -> None:
        self._connector = connector
        self._database = database
        self._client = connector.connect(database)

    @contextmanager
    def client(
        self, error: Callable[[str, int], StoreError] = lambda text, code: store_error(text, code=code)
    ) -> Iterator[RowClient]:
        """A client whose server answers; `error` makes our exception of the server's message and code."""
        if not _alive(self._client):
            self._client.disconnect()
            self._client = self._connector.connect(self._database)
        with mapped(self._client, error):
            yield self._client

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()


def _shake_hands(client: RowClient, config: Config) -> None:
    connection = client.connection
    connection.connect()
    connection.socket.settimeout(config.timeout_s)
    connection.send_receive_timeout = config.timeout_s
    version = connection.server_info.version_tuple()
    if version[:2] < OLDEST:
        oldest, found = (".".join(map(str, one)) for one in (OLDEST, version))
        raise OldServerError(f"{_where(client)}: ClickHouse {found} is too old; upgrade it to {oldest} or later")


def _alive(client: RowClient) -> bool:
    try:
        return bool(client.connection.ping())
    except (errors.Error, OSError, EOFError):
        return False


@contextmanager
def mapped(
    client: RowClient, error: Callable[[str, int], StoreError] = lambda text, code: store_error(text, code=code)
) -> Iterator[None]:
    """The driver's exceptions as ours; what is wrong with the network names the host."""
    try:
        yield
    except errors.ServerException as fault:
        if fault.code in NETWORK:
            raise StoreUnavailableError(f"{_where(client)}: {one_line(fault.message)}", name_of(fault.code)) from None
        raise error(fault.message, fault.code) from None
    except (errors.SocketTimeoutError, TimeoutError):
        raise StoreUnavailableError(f"{_where(client)}: no answer in time", "timeout") from None
    except (errors.NetworkError, errors.UnexpectedPacketFromServerError, OSError) as fault:
        raise StoreUnavailableError(f"{_where(client)}: {_line(fault)}", "unreachable") from None
    except EOFError:
        raise StoreUnavailableError(f"{_where(client)}: the server closed the connection", "unreachable") from None
    except (errors.Error, ValueError, NotImplementedError) as fault:  # an answer that the driver cannot read
        raise StoreError(f"{_where(client)}: {_line(fault)}") from None


def _where(client: RowClient) -> str:
    host, port = client.connection.hosts[0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _line(fault: Exception) -> str:
    """In one line, without the places in source files and the address that libraries add to a cause."""
    text = " ".join(str(getattr(fault, "message", "") or fault).split())
    text = _PLACES.sub("", text)
    if "EOF occurred in violation of protocol" in text:
        return "the server ended the encrypted connection; it may want a certificate (store.server.certificate)"
    return text


_PLACES = re.compile(r" \(_ssl\.c:\d+\)| \([^() ]+:\d+\)$")


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise UserError(f"{path}: no password in it ({error}); see store.server.password_file") from None


def _check_files(config: Config) -> None:
    for path in (config.authority, config.certificate, config.key):
        if path is not None and not path.is_file():
            raise UserError(f"{path}: no such file; see [store.server]")
    if config.key is not None and config.certificate is None:
        raise UserError(f"{config.key}: a key without its certificate; set store.server.certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if config.authority is not None:
            context.load_verify_locations(config.authority)
    except (ssl.SSLError, OSError):
        raise UserError(f"{config.authority}: no certificate in PEM in it; see store.server.authority") from None
    try:
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key)
    except (ssl.SSLError, OSError):
        raise UserError(
            f"{config.certificate}: not a certificate with its key in PEM; see store.server.certificate and key"
        ) from None


def _require_compression(method: str) -> None:
    from clickhouse_driver.compression import get_compressor_cls  # needs the extra packages

    try:
        get_compressor_cls(method)
    except (errors.UnknownCompressionMethod, RuntimeError):
        raise UserError(
            f"store.server.compression = {method}: install luytre-collector[compression], or set none"
        ) from None
