"""`python -m tests.support.bridge FOLDER [options]`: prints its port, serves until its standard input closes.

So it ends with the test that started it, however that test ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import ssl
import sys
import threading
from pathlib import Path

from tests.support.bridge.engine import Engine
from tests.support.bridge.session import Conversation, Identity
from tests.support.bridge.wire import REVISION


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bridge")
    parser.add_argument("folder")
    parser.add_argument("--config", default="", help="a configuration of ClickHouse, for what its user may")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", action="append", metavar="NAME:PASSWORD")
    parser.add_argument("--version", default="26.9.2")
    parser.add_argument("--revision", type=int, default=REVISION)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--authority", type=Path, help="clients must show a certificate of this authority")
    return parser.parse_args()


def identity(options: argparse.Namespace) -> Identity:
    major, minor, patch = (int(part) for part in options.version.split("."))
    users = tuple(
        (name, password) for name, _, password in (one.partition(":") for one in options.user or ["default:"])
    )
    return Identity((major, minor, patch), options.revision, users)


def encryption(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    if options.authority is not None:
        context.load_verify_locations(options.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main() -> None:
    options = arguments()
    engine = Engine(options.folder, options.config)
    who, context = identity(options), encryption(options)
    listener = socket.create_server(("127.0.0.1", options.port))

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError), contextlib.ExitStack() as closing:
            closing.enter_context(sock)
            if context is not None:
                sock = closing.enter_context(context.wrap_socket(sock, server_side=True))
            Conversation(engine, who, sock).run()

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.buffer.read()
    sys.stdout.flush()
    os._exit(0)  # threads may be inside the engine; an insert under way is whole or absent


if __name__ == "__main__":
    main()
