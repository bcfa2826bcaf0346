"""`luytre-agent policy show`: which policy is in force here, and what it sets."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from luytre_common.errors import EXIT_OK

from luytre_agent import config, policy
from luytre_agent.commands.options import add_command, add_config


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "policy",
        "the policy that is in force on this host",
        "  luytre-agent policy show\n  luytre-agent policy show --config agent.toml --json",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = add_command(
        actions,
        "show",
        "print which policy is in force, what it sets, and what became of the last one",
        "  luytre-agent policy show\n  luytre-agent policy show --json | jq .settings",
    )
    add_config(show)
    show.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    show.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    loaded = config.load(arguments.config)
    now = time.time()
    shown = policy.show(loaded.policy, loaded.policy_folder, loaded.tls.certificate, now)
    if arguments.json:
        sys.stdout.write(json.dumps(policy.table(shown, now), ensure_ascii=False) + "\n")
        return EXIT_OK
    sys.stdout.write(f"policy    {policy.sentence(shown, now)}\n")
    if shown.agent_id:
        sys.stdout.write(f"agent     {shown.agent_id}\n")
    sys.stdout.writelines(f"key       {key}\n" for key in shown.keys)
    document = shown.current.document
    if document and shown.current.counts(now):
        if document.reason:
            sys.stdout.write(f"reason    {document.reason}\n")
        if document.expires is not None:
            sys.stdout.write(f"expires   {policy.table(shown, now)['expires']}\n")
        for key, value in sorted(shown.settings.items()):
            sys.stdout.write(f"sets      {key} = {json.dumps(value, ensure_ascii=False)}\n")
        sys.stdout.writelines(f"leaves    {key} (locked on this host)\n" for key in shown.kept)
    return EXIT_OK
