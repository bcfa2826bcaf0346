"""`policy`: keys, signatures, the folder of signed policies, and what became of them on the agents."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luytre_common.errors import EXIT_FAILURE, EXIT_OK, UserError

if TYPE_CHECKING:
    from luytre_collector.policy.folder import Published


def key_init(args: argparse.Namespace) -> int:
    """Make a key pair."""
    from luytre_common.policy import key_id

    from luytre_collector.policy import signing

    private, public, key = signing.init(args.dir)
    print(f"private key  {private}   keep it: who has it decides what agents watch; no collector needs it")
    print(f"public key   {public}   copy it to the agents ([policy] key), and to collectors if they shall check too")
    print(f"key id       {key_id(key)}")
    return EXIT_OK


def key_show(args: argparse.Namespace) -> int:
    """Print the ids of the public keys of a file."""
    from luytre_common.policy import key_id, load_keys

    for key in load_keys(args.file):
        print(key_id(key))
    return EXIT_OK


def sign(args: argparse.Namespace) -> int:
    """Sign a document."""
    from luytre_common.policy import key_id

    from luytre_collector.policy import signing

    private = signing.load(args.key)
    document = signing.sign(args.file, private, args.out)
    print(f"{args.out}: version {document.version} for {', '.join(document.agents)}, "
          f"signed by {key_id(signing.public_of(private))}")  # fmt: skip
    return EXIT_OK


def check(args: argparse.Namespace) -> int:
    """Would agents take it? Every fault at once."""
    from luytre_common.policy import PolicyError, load_keys, read, unpack

    from luytre_collector.policy import folder

    faults, lines = [], []
    keys = load_keys(args.key) if args.key else ()
    for path in args.files:
        raw = folder.read_bytes(path)
        try:
            signed = unpack(raw) if raw.startswith(b"luytre policy") else None
            document = read(signed.document if signed else raw)
        except PolicyError as error:
            faults += [f"{path}: {fault}" for fault in error.faults]
            continue
        if keys and (signed is None or not folder.verified(signed, keys)):
            faults.append(f"{path}: not signed by a key of {args.key}; sign it with: luytre-collector policy sign")
            continue
        how = "not signed" if signed is None else "signed" if keys else "signed (by whom: --key policy.pub)"
        lines.append(f"{path}: good: version {document.version}, {len(document.settings)} settings, {how}")
    for line in lines:
        print(line)
    if faults:
        raise UserError("\n".join(faults))
    return EXIT_OK


def show(args: argparse.Namespace) -> int:
    """What a policy says."""
    from luytre_common.policy import PolicyError, read, unpack

    from luytre_collector.policy import folder

    raw = folder.read_bytes(args.file)
    try:
        document = read(unpack(raw).document if raw.startswith(b"luytre policy") else raw)
    except PolicyError as error:
        raise UserError("\n".join(f"{args.file}: {fault}" for fault in error.faults)) from None
    facts = {
        "version": document.version,
        "group": document.group,
        "agents": list(document.agents),
        "not_before": _time(document.not_before),
        "expires": _time(document.expires),
        "reason": document.reason,
        "settings": dict(document.settings),
    }
    if args.json:
        print(json.dumps(facts, ensure_ascii=False))
        return EXIT_OK
    settings = facts.pop("settings")
    for name, value in facts.items():
        if value:
            print(f"{name:11} {', '.join(value) if isinstance(value, list) else value}")
    for key, value in sorted(document.settings.items()):
        print(f"{'sets':11} {key} = {json.dumps(value, ensure_ascii=False)}")
    if not settings:
        print(f"{'sets':11} nothing: the agents' own configuration counts")
    return EXIT_OK


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def publish(args: argparse.Namespace) -> int:
    """Put a signed policy where collectors look for it."""
    from luytre_common.policy import load_keys

    from luytre_collector.policy import folder

    keys: Sequence[bytes] = ()
    directory = args.dir
    if directory is None:
        config = _policy_config(args.config)
        directory, keys = config.directory, load_keys(config.key) if config.key else ()
    found = folder.open_file(args.file, keys)
    path = folder.publish(found, directory)
    print(f"{path}: version {found.document.version} for {', '.join(found.document.agents)}")
    return EXIT_OK


def _policy_config(path: Path) -> Any:
    from luytre_collector import config

    return config.load(path).policy


def list_policies(args: argparse.Namespace) -> int:
    """The policies of the folder; 1 if a file there is none."""
    found, faults = _folder(args.config)
    for one in found:
        document = one.document
        facts = {
            "version": document.version,
            "group": document.group,
            "agents": list(document.agents),
            "expires": _time(document.expires),
            "settings": len(document.settings),
            "file": str(one.path),
        }
        if args.json:
            print(json.dumps(facts, ensure_ascii=False))
        else:
            until = f", until {facts['expires']}" if document.expires else ""
            names = ", ".join(document.agents)
            print(
                f"{document.version:>6}  {document.group or '-':16} {names}: {len(document.settings)} settings{until}"
            )
    if faults:
        raise UserError("\n".join(faults))
    return EXIT_OK


def _folder(path: Path) -> tuple[Sequence[Published], Sequence[str]]:
    from luytre_common.policy import load_keys

    from luytre_collector.policy.folder import Folder

    config = _policy_config(path)
    try:
        return Folder(config.directory, load_keys(config.key) if config.key else ()).read()
    except OSError as error:
        raise UserError(f"{config.directory}: {error.strerror}; ask as the collector's user, or as root") from None


def keys(args: argparse.Namespace) -> int:
    """What a policy may set."""
    from luytre_common.policy import schema

    print(json.dumps(schema.json_schema(), ensure_ascii=False, indent=1) if args.json else schema.markdown(), end="")
    if args.json:
        print()
    return EXIT_OK


def status(args: argparse.Namespace) -> int:
    """What agents have; 1 if one refused what is due, or took it back."""
    import time

    from luytre_collector import query
    from luytre_collector.policy.folder import in_time
    from luytre_collector.policy.status import SQL, statuses
    from luytre_collector.store import choose

    policies, _ = _folder(args.config)
    answer = query.run_query(choose.load(args.config), SQL, "JSONEachRow", utc=True)
    rows = [json.loads(line) for line in answer.splitlines()]
    found = statuses(rows, in_time(policies, time.time()))
    found = [one for one in found if not args.agent or one.agent_id == args.agent]
    if args.json:
        for one in found:
            print(json.dumps(one.to_json(), ensure_ascii=False))
    else:
        lines = [("agent", "in force", "due", "group", "verdict", "heard (UTC)", "message")]
        for one in found:
            message = one.message if one.version == one.due or not one.due else f"(version {one.version}) {one.message}"
            lines.append((one.agent_id, str(one.in_force or "-"), str(one.due or "-"), one.group or "-", one.verdict,
                          one.heard[:19] or "-", message.strip()))  # fmt: skip
        for line in _columns(lines) if found else ["no agent was heard of"]:
            print(query.visible(line.encode()).decode())
    return EXIT_FAILURE if any(one.bad for one in found) else EXIT_OK


def _columns(lines: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


_MORE = """\
examples:
  luytre-collector policy key init --dir /media/usb/policy      once; the private key stays with whoever decides
  luytre-collector policy check portals.toml
  luytre-collector policy sign portals.toml --key policy.key -o portals-12.policy
  luytre-collector policy publish portals-12.policy             a running collector passes it on within seconds
  luytre-collector policy status

deploy/policy has an example, and a page that says how it goes on.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    parser = commands.add_parser(
        "policy",
        help="signed settings for groups of agents",
        description="Settings for groups of agents: signed by an operator, passed on by the collector, tried by each.",
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str, config: bool = False, **more: Any
    ) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = more.get("under", actions).add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"examples:\n{example}",
            formatter_class=argparse.RawDescriptionHelpFormatter, parents=[shared] if config else [],
        )  # fmt: skip
        one.set_defaults(run=run)
        return one

    under = actions.add_parser("key", help="the key that policies are signed with").add_subparsers(
        dest="thing", metavar="THING", required=True
    )
    one = action(
        "init", key_init, "make a key pair; nothing is overwritten",
        "  luytre-collector policy key init --dir /media/usb/policy", under=under,
    )  # fmt: skip
    one.add_argument("--dir", type=Path, required=True, metavar="DIR", help="where policy.key and policy.pub go")
    one = action(
        "show", key_show, "print the ids of public keys, as agents and collectors name them",
        "  luytre-collector policy key show policy.pub", under=under,
    )  # fmt: skip
    one.add_argument("file", type=Path, metavar="FILE", help="a file of public keys")

    one = action(
        "sign", sign, "sign a document that agents would take",
        "  luytre-collector policy sign portals.toml --key policy.key -o portals-12.policy",
    )  # fmt: skip
    one.add_argument("file", type=Path, metavar="FILE", help="the document, TOML")
    one.add_argument("--key", type=Path, required=True, metavar="KEY", help="the private key")
    one.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="the signed policy")

    one = action(
        "check", check, "would agents take it? every fault at once",
        "  luytre-collector policy check portals.toml\n"
        "  luytre-collector policy check portals-12.policy --key policy.pub",
    )  # fmt: skip
    one.add_argument("files", type=Path, nargs="+", metavar="FILE", help="documents, signed or not")
    one.add_argument("--key", type=Path, metavar="KEY", help="public keys: it must be signed by one of them")

    one = action(
        "show",
        show,
        "print what a policy says",
        "  luytre-collector policy show portals-12.policy --json",
    )
    one.add_argument("file", type=Path, metavar="FILE", help="a document, signed or not")
    one.add_argument("--json", action="store_true", help="one JSON object")

    one = action(
        "publish", publish, "put a signed policy into the collector's folder",
        "  luytre-collector policy publish portals-12.policy\n"
        "  luytre-collector policy publish portals-12.policy --dir /var/lib/luytre-collector/policies",
        config=True,
    )  # fmt: skip
    one.add_argument("file", type=Path, metavar="SIGNED", help="the signed policy")
    one.add_argument("--dir", type=Path, metavar="DIR", help="the folder (default: policy.directory)")

    one = action("list", list_policies, "print the policies of the folder, the highest version first",
                 "  luytre-collector policy list --json", config=True)  # fmt: skip
    one.add_argument("--json", action="store_true", help="one JSON object for each")

    one = action("keys", keys, "print what a policy may set", "  luytre-collector policy keys\n"
                 "  luytre-collector policy keys --json > policy.schema.json")  # fmt: skip
    one.add_argument("--json", action="store_true", help="as JSON Schema, for editors")

    one = action(
        "status", status, "print which version every agent has and should have; exit 1 if one did not take what is due",
        "  luytre-collector policy status\n  luytre-collector policy status --agent web-01 --json", config=True,
    )  # fmt: skip
    one.add_argument("--agent", default="", metavar="NAME", help="only this agent")
    one.add_argument("--json", action="store_true", help="one JSON object for each agent")
