"""`luytre-agent dump`: the effective configuration."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from luytre_common.errors import EXIT_OK, UserError

from luytre_agent import config, policy
from luytre_agent.commands.options import add_command, add_config


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "dump",
        "print the effective configuration, with what a policy sets, every key with its meaning",
        "  luytre-agent dump --config agent.toml\n  luytre-agent dump --config agent.toml --own",
    )
    add_config(parser)
    parser.add_argument("--own", action="store_true", help="the host's own configuration, whatever a policy sets")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    loaded = config.load(arguments.config)
    if not arguments.own:
        loaded, note = _with_policy(loaded)
        sys.stdout.write(note)
    sys.stdout.write(config.dump(loaded))
    return EXIT_OK


def _with_policy(own: config.Config) -> tuple[config.Config, str]:
    """What is in force, and a comment about it if a policy is."""
    now = time.time()
    try:
        shown = policy.show(own.policy, own.policy_folder, own.tls.certificate, now)
        effective = config.effective(own, shown.settings)
    except UserError as error:
        return own, f"# without policy: {' '.join(str(error).split())}\n\n" if own.policy.key else ""
    if not shown.settings:
        return own, ""
    return effective, f"# policy {policy.table(shown, now)['version']} sets {', '.join(sorted(shown.settings))}\n\n"
