"""`enrol token`, `enrol list` and `enrol revoke`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from luytre_common.errors import EXIT_OK, UserError


def token(args: argparse.Namespace) -> int:
    """Make a token: on standard output it alone, so that scripts can take it; what to do with it on standard error."""
    import os
    from datetime import UTC, datetime

    from luytre_collector.enrol import tokens

    loaded, store = _open(args.config)
    authority = _authority(loaded.enrol.authority or loaded.ingest.tls.authority.parent)
    now = datetime.now(UTC)
    names = args.name or args.names or "*"
    if args.name and set(args.name) & {"*", "?"}:
        raise UserError(f"{args.name!r} is a pattern; give patterns with --names")
    text, kept = tokens.make(names, args.uses, args.hours, authority, now, os.urandom)
    store.add(kept, now)
    times = "once" if args.uses == 1 else f"{args.uses} times"
    whom = "any name" if names == "*" else names
    print(f"token {kept.id}: good {times} for {whom}, until {kept.expires[:16]} UTC", file=sys.stderr)
    if not loaded.enrol.listen:
        print(
            "[enrol] listen is not set: nobody can use it before it is, and the collector was restarted",
            file=sys.stderr,
        )
    port = loaded.enrol.listen.rpartition(":")[2] or "PORT"
    print(f"on the server:  luytre-agent enrol --collector HOST:{port} --token ...", file=sys.stderr)
    print(text)
    return EXIT_OK


def list_tokens(args: argparse.Namespace) -> int:
    """Print the tokens, never their secrets."""
    import json
    from dataclasses import asdict
    from datetime import UTC, datetime

    _, store = _open(args.config)
    now = datetime.now(UTC)
    for one in store.read().values():
        state = one.state(now)
        if args.json:
            shown = {key: value for key, value in asdict(one).items() if key not in ("hashed", "revoked")}
            print(json.dumps({**shown, "state": state}))
        else:
            names = ", ".join(use.name for use in one.used[-5:])
            print(f"{one.id}  {one.names:24} {len(one.used):>5} of {one.uses:<5} {one.expires[:16]}  {state:8} {names}")
    return EXIT_OK


def revoke(args: argparse.Namespace) -> int:
    """A token that is good no more."""
    _, store = _open(args.config)
    one = store.revoke(args.id)
    print(f"token {one.id} is good no more; it was used {len(one.used)} times, see: luytre-collector pki list")
    return EXIT_OK


def _open(path: Path):  # type: ignore[no-untyped-def] # what it gives is only known once it is loaded
    from luytre_collector import config as configuration
    from luytre_collector.enrol.tokens import Tokens

    loaded = configuration.load(path)
    return loaded, Tokens(loaded.enrol.tokens)


def _authority(folder: Path) -> str:
    """The fingerprint of the authority that the collector signs with, hexadecimal."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    path = folder / "authority.pem"
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run: luytre-collector pki init --dir {folder}") from None
    except ValueError:
        raise UserError(f"{path}: is not a certificate; give the folder of the authority in enrol.authority") from None


_TOKEN_EXAMPLES = """examples:
  luytre-collector enrol token --name web-01                       one server
  luytre-collector enrol token --names 'web-*' --uses 40 --hours 8  forty, today
  luytre-collector enrol token --name db-01 | ssh db-01 luytre-agent enrol --collector soc:7072 --token-file -
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    parser = commands.add_parser("enrol", help="tokens with which servers get their certificates")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    making = actions.add_parser(
        "token",
        help="make a token; it is shown once, and only a hash of it is kept",
        parents=[shared],
        epilog=_TOKEN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = making.add_mutually_exclusive_group()
    names.add_argument("--name", metavar="NAME", help="for this agent alone; may take the place of one of this name")
    names.add_argument("--names", metavar="PATTERN", help="for new agents of such names, with * and ? (default: any)")
    making.add_argument("--uses", type=int, default=1, metavar="N", help="how many agents (default: one)")
    making.add_argument("--hours", type=float, default=24.0, metavar="H", help="how long it is good (default: 24)")
    making.set_defaults(run=token)
    listing = actions.add_parser("list", help="the tokens, and whom they enrolled", parents=[shared])
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=list_tokens)
    revoking = actions.add_parser("revoke", help="a token that nobody may use any more", parents=[shared])
    revoking.add_argument("id", metavar="ID", help="as enrol list shows it")
    revoking.set_defaults(run=revoke)
