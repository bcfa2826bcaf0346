"""`luytre-agent enrol`: get a certificate with a token."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luytre_common import settings
from luytre_common.errors import EXIT_OK, UserError

from luytre_agent import pair
from luytre_agent.commands.options import add_command, seconds
from luytre_agent.toml_edit import with_settings

if TYPE_CHECKING:
    from luytre_agent.enrolment import Enrolled

#: The service may write there, and must: certificates are renewed.
DEFAULT_DIR = Path("/var/lib/luytre-agent/pki")
_MAX_TOKEN = 1000


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "enrol",
        "get a certificate from the collector, with a token of luytre-collector enrol token",
        "  luytre-agent enrol --collector soc.example:7072 --token lt1.3f9c2a7e....\n"
        "  luytre-agent enrol --collector soc.example:7072 --token-file - --config /etc/luytre/agent.toml < token\n"
        "  luytre-agent enrol --collector soc.example:7072 --token lt1.... --again      in place of the one it has",
    )
    parser.add_argument(
        "--collector", type=_host_port, required=True, metavar="HOST:PORT", help="its [enrol] listen, not its ingest"
    )
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token", metavar="TOKEN", help="as the collector printed it")
    token.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with the token, - for standard input: not in `ps` then"
    )
    parser.add_argument("--name", metavar="NAME", help="name of this agent (default: this host's, in lower case)")
    parser.add_argument(
        "--dir", type=Path, default=DEFAULT_DIR, metavar="DIR",
        help="where authority.pem, agent.pem and agent.key are put (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="say so in this configuration; made if it is not there"
    )
    parser.add_argument("--again", action="store_true", help="although there is a certificate; it is kept as *.old")
    parser.add_argument(
        "--authority", type=Path, metavar="FILE", help="the authority's certificate, if it is here already"
    )
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="wait for the collector")
    parser.set_defaults(main=main)


def _host_port(text: str) -> str:
    complaint = settings.host_port(text)
    if complaint:
        raise argparse.ArgumentTypeError(f"{text!r} {complaint}")
    return text


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from luytre_agent import enrolment

    folder = arguments.dir.absolute()
    files = enrolment.files_in(folder)
    name = arguments.name or socket.gethostname().lower()
    if not enrolment.NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be a name; give --name, 1 to 64 of a-z 0-9 . - beginning with a letter or digit"
        )
    has = None if arguments.again else enrolment.already(files)
    if has is not None and has != name:
        raise UserError(f"{files.certificate}: is for {has}, not for {name}; --again enrols anew and keeps it as *.old")
    if has is not None:
        sys.stdout.write(f"{files.certificate}: is there already, for {has}; --again enrols anew\n")
        return EXIT_OK
    token = _token(arguments.token, arguments.token_file)
    known = _read(arguments.authority) if arguments.authority else None
    done = enrolment.enrol(arguments.collector, token, name, folder, arguments.timeout, known)
    host = arguments.collector.rpartition(":")[0]
    collector = f"{host}:{done.port}" if done.port else ""
    lines = [f"enrolled as {name}", f"certificate  {files.certificate}", f"key          {files.key}"]
    if done.policy_key:
        lines.append(f"policy key   {done.policy_key}")
    wanted = _wanted(collector, done)
    if arguments.config is None:
        lines.append(f"for the agent's configuration:\n\n{with_settings('', wanted)}")
    else:
        lines.extend(_configure(arguments.config, wanted))
        lines.append(f"next: luytre-agent check --config {arguments.config}")
    if arguments.again:
        lines.append("an agent that runs keeps what it had until it is restarted: systemctl restart luytre-agent")
    sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_OK


def _token(given: str | None, file: Path | None) -> str:
    if given is not None:
        return given.strip()
    assert file is not None
    if str(file) == "-":
        return sys.stdin.readline(_MAX_TOKEN).strip()
    return _read(file)[:_MAX_TOKEN].decode("ascii", "replace").strip()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file that is there") from None


def _wanted(collector: str, done: Enrolled) -> dict[tuple[str, str], str]:
    """What the configuration must say, by table and key."""
    wanted = {("uplink", "collector"): collector} if collector else {}
    wanted |= {("tls", key): str(getattr(done.files, key)) for key in ("authority", "certificate", "key")}
    if done.policy_key:
        wanted["policy", "key"] = str(done.policy_key)
    return wanted


def _configure(path: Path, wanted: dict[tuple[str, str], str]) -> list[str]:
    """Say so in the file; what is left to do by hand."""
    try:
        text, before = path.read_text(encoding="utf-8"), path.stat()
    except FileNotFoundError:
        text, before = "# luytre-agent dump shows every setting with its meaning.\n", None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', 'not UTF-8')}; the certificate is there") from None
    try:
        made = with_settings(text, wanted)
    except ValueError as error:
        raise UserError(f"{path}: not TOML: {error}; the certificate is there") from None
    if made is None:
        return [f"{path}: set [{table}] {key} = {json.dumps(value)}" for (table, key), value in wanted.items()]
    if made == text:
        return [f"{path}: says so already"]
    pair.write(path, made.encode(), 0o644)
    if before is not None:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # not what a link there names
        try:
            os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, before.st_mode & 0o777)
        finally:
            os.close(fd)
    return [f"configuration  {path}"]
