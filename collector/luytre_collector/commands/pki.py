"""`pki init`, `pki issue`, `pki sign`, `pki list` and `pki revoke`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
from pathlib import Path

from luytre_common.errors import EXIT_OK


def init(args: argparse.Namespace) -> int:
    """Make an authority."""
    from luytre_collector import pki

    days = pki.AUTHORITY_DAYS if args.days is None else args.days
    print(pki.init_authority(args.dir, days=days).report(), end="")
    return EXIT_OK


def issue(args: argparse.Namespace) -> int:
    """Make a certificate for an agent or a collector."""
    from luytre_collector import pki

    days = pki.DEFAULT_DAYS if args.days is None else args.days
    role: pki.Role = "collector" if args.collector else "agent"
    print(pki.issue(args.dir, args.name, role, args.host, days=days, out=args.out).report(), end="")
    return EXIT_OK


def sign(args: argparse.Namespace) -> int:
    """Sign a request that was made elsewhere."""
    import sys
    from datetime import timedelta

    from luytre_common.errors import UserError

    from luytre_collector import pki
    from luytre_collector.pki import files, request

    try:
        data = sys.stdin.buffer.read() if str(args.request) == "-" else args.request.read_bytes()
    except OSError as error:
        raise UserError(f"{args.request}: {error.strerror}; give the file of a signing request, or -") from None
    try:
        asked = request.read(data)
    except ValueError as error:
        raise UserError(f"{args.request}: {error}") from None
    if args.name and args.name != asked.name:
        raise UserError(f"{args.request}: asks for {asked.name!r}, not for {args.name!r}; look at who sent it")
    days = pki.DEFAULT_DAYS if args.days is None else args.days
    pki.check_days(days)
    authority = pki.Authority(args.dir)
    if args.out:
        files.refuse_existing(args.out)
    with authority.books.open():
        signed = authority.sign_agent(asked, timedelta(days=days), "sign")
    pem = pki.to_pem(signed)
    if args.out:
        files.create(args.out, pem, 0o644)
        print(f"certificate  {args.out}\nname         {asked.name}\nexpires      {signed.not_valid_after_utc:%Y-%m-%d}")
    else:
        print(pem.decode(), end="")
    return EXIT_OK


def list_all(args: argparse.Namespace) -> int:
    """Print what was issued, and what became of it."""
    import json
    from dataclasses import asdict
    from datetime import UTC, datetime

    from luytre_collector.pki.books import Books

    _check_folder(args.dir)
    books, now = Books(args.dir), datetime.now(UTC)
    issued, revoked = books.issued(), books.revoked()
    found = []
    for one in issued:
        why = revoked.find(one.serial, one.fingerprint)
        state = "revoked" if why else "good" if one.good(now) else "expired"
        end = {"revoked": why.revoked, "reason": why.reason} if why else {"revoked": "", "reason": ""}
        found.append({**asdict(one), "state": state, **end})
    serials, prints = {one.serial for one in issued}, {one.fingerprint for one in issued}
    unknown = {"role": "", "key": "", "issued": "", "expires": "", "by": "", "state": "revoked"}
    found.extend(
        {**unknown, **asdict(gone)}
        for gone in revoked.entries
        if gone.serial not in serials and gone.fingerprint not in prints
    )
    kept = [row for row in found if args.all or row["state"] == "good"]
    for row in kept:
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        note = f"revoked {row['revoked'][:16]} {row['reason']}" if row["state"] == "revoked" else row["state"]
        name, number = row["name"] or "?", row["serial"] or row["fingerprint"]
        print(f"{name:24} {row['role']:9} {row['expires'][:16]:16} {number:>40}  {note}")
    if len(kept) < len(found) and not args.json:
        print(f"{len(found) - len(kept)} that are good no more are not shown; see --all")
    return EXIT_OK


def revoke(args: argparse.Namespace) -> int:
    """Make certificates good no more."""
    from datetime import UTC, datetime

    from luytre_common.errors import UserError

    from luytre_collector.pki import books

    _check_folder(args.dir)
    folder = books.Books(args.dir)
    try:
        done = books.revoke(folder, args.what, args.reason, lambda: datetime.now(UTC))
    except OSError as error:
        raise UserError(f"{args.dir}: {error.strerror}; run this as the user of that folder, or root") from None
    for one in done:
        print(f"revoked  {one.name or '?':24} {one.serial or one.fingerprint}")
    print(f"A collector that reads {args.dir / books.REVOKED} refuses it from now on; copy the file to all others.")
    return EXIT_OK


def _check_folder(folder: Path) -> None:
    from luytre_common.errors import UserError

    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give that of the authority with --dir")


def _examples(parser: argparse.ArgumentParser, text: str) -> None:
    parser.epilog = "examples:\n" + text
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    del shared  # certificates are made before there is a configuration
    parser = commands.add_parser("pki", help="the authority: certificates made, signed, listed, revoked")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    first = actions.add_parser("init", help="make the authority that signs every certificate")
    first.add_argument("--days", type=int, metavar="DAYS", help="validity (default: ten years)")
    first.set_defaults(run=init)
    other = actions.add_parser("issue", help="make a certificate and key")
    other.add_argument("name", metavar="NAME", help="identity: the agent_id of an agent, or the collector's host name")
    role = other.add_mutually_exclusive_group(required=True)
    role.add_argument("--agent", action="store_true", help="for an agent: may only connect")
    role.add_argument("--collector", action="store_true", help="for a collector: may only listen")
    other.add_argument(
        "--host", action="append", default=[], metavar="HOST",
        help="DNS name or address under which agents reach the collector; may be repeated (default: NAME)",
    )  # fmt: skip
    other.add_argument("--days", type=int, metavar="DAYS", help="validity (default: one year)")
    other.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: DIR of the authority)")
    other.set_defaults(run=issue)
    signing = actions.add_parser("sign", help="sign a request that an agent's host made: its key stays there")
    signing.add_argument("request", type=Path, metavar="CSR", help="PKCS #10 in PEM or DER; - for standard input")
    signing.add_argument("--name", metavar="NAME", help="the name that it must ask for")
    signing.add_argument("--days", type=int, metavar="DAYS", help="validity (default: one year)")
    signing.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: standard output)")
    signing.set_defaults(run=sign)
    _examples(signing, "  luytre-collector pki sign web-01.csr --name web-01 --out web-01.pem")
    listing = actions.add_parser("list", help="what was issued and is good")
    listing.add_argument("--all", action="store_true", help="also what has expired or was revoked")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    listing.set_defaults(run=list_all)
    _examples(listing, "  luytre-collector pki list --all --json | jq -r 'select(.by | startswith(\"enrol\")) | .name'")
    revoking = actions.add_parser("revoke", help="certificates that are good no more; their streams are cut at once")
    revoking.add_argument(
        "what", metavar="NAME|SERIAL|FINGERPRINT", help="all certificates of a name, or one; see pki list"
    )
    revoking.add_argument("--reason", default="", metavar="TEXT", help="for those who read the list later")
    revoking.set_defaults(run=revoke)
    _examples(revoking, "  luytre-collector pki revoke web-01 --reason 'stolen, ticket 4711'")
    for one in (first, other, signing, listing, revoking):
        one.add_argument(
            "--dir", type=Path, default=Path("/etc/luytre/pki"), metavar="DIR",
            help="folder of the authority (default: %(default)s)",
        )  # fmt: skip
