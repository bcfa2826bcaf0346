"""`luytre-agent check`: would it work here, and if not, what is missing?"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from luytre_common import tls
from luytre_common.errors import EXIT_FAILURE, EXIT_OK, LuytreError, Unavailable
from luytre_common.policy import key_id, load_keys

from luytre_agent import config, policy, uplink
from luytre_agent.app import hello, uplink_addresses
from luytre_agent.certificate import facts
from luytre_agent.commands.options import add_command, add_config, seconds
from luytre_agent.sources import Context, Source, wanted
from luytre_agent.spool import examine

#: A certificate with less than this part of its validity left should have been renewed: that begins at a third.
_LATE = 6


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and the remedy if it is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "check",
        "look at configuration, certificate, collector, spool and sources; exit 1 if something fails",
        "  luytre-agent check --config agent.toml\n  luytre-agent check --config agent.toml --json\n"
        "  luytre-agent check --files && systemctl reload luytre-agent",
    )
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--files", action="store_true", help="only configuration and certificate; nothing is opened")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="wait for the collector")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    loaded = config.load(arguments.config)
    findings = [
        Finding("config", True, str(arguments.config)),
        *(files(loaded) if arguments.files else look(loaded, arguments.timeout)),
    ]
    well = all(finding.ok for finding in findings)
    if arguments.json:
        found = {"ok": well, "checks": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(map(_line, findings))
    return EXIT_OK if well else EXIT_FAILURE


def _line(finding: Finding) -> str:
    remedy = f"\n      {'':24} -> {finding.remedy}" if finding.remedy else ""
    return f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:24} {finding.detail}{remedy}\n"


def files(loaded: config.Config) -> Iterator[Finding]:
    """What can be said by reading alone."""
    try:
        yield certificate(tls.read(loaded.tls, "agent"), datetime.now(UTC))
    except LuytreError as error:
        yield Finding("certificate", False, *_split(error))
    if loaded.policy.enabled and loaded.policy.key:
        try:
            names = ", ".join(map(key_id, load_keys(loaded.policy.key)))
            yield Finding("policy key", True, f"{loaded.policy.key}: {names}")
        except LuytreError as error:
            yield Finding("policy key", False, *_split(error))


def look(loaded: config.Config, timeout_s: float) -> Iterator[Finding]:
    """Every finding, in the order in which the agent would need the things."""
    try:
        identity = tls.read(loaded.tls, "agent")
        yield certificate(identity, datetime.now(UTC))
    except LuytreError as error:
        yield Finding("certificate", False, *_split(error))
    else:
        yield _collector(loaded, identity, timeout_s)
    try:
        yield Finding("spool", True, examine(loaded.spool))
    except LuytreError as error:
        yield Finding("spool", False, *_split(error))
    loaded, finding = _policy(loaded)
    yield finding
    makers = wanted(loaded.sources, Context(uplink_addresses(loaded.uplink.collector)))
    if not makers:
        yield Finding("sources", False, "none is configured", "enable one in [sources]")
    for name, make in makers.items():
        yield _source(name, make)


def _policy(own: config.Config) -> tuple[config.Config, Finding]:
    """The configuration in force, and what policy does to it."""
    now = time.time()
    try:
        shown = policy.show(own.policy, own.policy_folder, own.tls.certificate, now)
        return config.effective(own, shown.settings), Finding("policy", True, policy.sentence(shown, now))
    except LuytreError as error:
        return own, Finding("policy", False, *_split(error))


def _split(error: LuytreError) -> tuple[str, str]:
    if isinstance(error, Unavailable):
        return error.reason, error.remedy
    reason, _, remedy = str(error).partition("; ")
    return reason, remedy


def certificate(identity: tls.Identity, now: datetime) -> Finding:
    """Whose our certificate is, and whether it is good now."""
    try:
        mine = facts(identity.certificate)
    except ValueError as error:
        return Finding("certificate", False, str(error), "enrol again: luytre-agent enrol --again")
    detail = f"{mine.common_name}, good until {mine.not_after:%Y-%m-%d %H:%M} UTC"
    if now > mine.not_after:
        return Finding("certificate", False, f"{detail}: expired", "enrol again, or correct this host's clock")
    if now < mine.not_before:
        detail += f", but only from {mine.not_before:%Y-%m-%d %H:%M} UTC"
        return Finding("certificate", False, detail, "correct this host's clock")
    left = mine.not_after - now
    late = left < (mine.not_after - mine.not_before) / _LATE
    remedy = "it should have been renewed: see the log of luytre-agent run, or enrol again" if late else ""
    return Finding("certificate", True, f"{detail} ({left.days} days)", remedy)


def _collector(loaded: config.Config, identity: tls.Identity, timeout_s: float) -> Finding:
    try:
        greeting = hello(loaded, "", time.time())
        welcome = uplink.probe(loaded.uplink, loaded.tls, identity, greeting, timeout_s)
    except Unavailable as error:
        return Finding("collector", False, error.reason, error.remedy)
    return Finding("collector", True, f"{loaded.uplink.collector} takes us as {welcome.agent_id}")


def _source(name: str, make: Callable[[], Source]) -> Finding:
    source = make()
    try:
        source.open()
    except Unavailable as error:
        return Finding(name, False, error.reason, error.remedy)
    notes = getattr(source, "notes", ())
    source.close()
    rung = getattr(source, "rung", "")
    better = [f"not by {tried}: {reason}" for tried, reason in getattr(source, "refused", ())]
    lacking = getattr(source, "lacking", ())
    detail = "; ".join([f"available ({rung})" if rung else "available", *lacking, *better, *notes])
    return Finding(name, True, detail, "; ".join(getattr(source, "remedies", ())))
