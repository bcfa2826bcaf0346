"""`luytre-agent run`: watch and deliver until stopped."""

from __future__ import annotations

import argparse
import faulthandler
import os
from typing import Any

from luytre_common.errors import EXIT_OK
from luytre_common.lifecycle import on_hangup, stop_on_signals
from luytre_common.sd_notify import ServiceManager
from luytre_common.telemetry import configure_logging

from luytre_agent import config
from luytre_agent.app import Agent
from luytre_agent.commands.options import add_command, add_config, seconds
from luytre_agent.memory import be_frugal


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "run",
        "watch this host and deliver to the collector until SIGTERM or SIGINT; SIGHUP: read the configuration again",
        "  luytre-agent run --config agent.toml\n  luytre-agent run --config agent.toml --for 60",
    )
    add_config(parser)
    parser.add_argument("--for", dest="seconds", type=seconds, metavar="SECONDS", help="end after so long")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    be_frugal()
    loaded = config.load(arguments.config)
    configure_logging(loaded.agent.log_level, loaded.agent.log_format)
    faulthandler.enable()  # a watchdog's SIGABRT leaves in the log where every thread was
    service = ServiceManager.of(os.environ)
    agent = Agent(loaded, service=service, config_file=arguments.config)

    def reload() -> None:
        agent.reload(lambda: config.load(arguments.config))
        in_force = agent.settings.config.agent
        configure_logging(in_force.log_level, in_force.log_format)

    with stop_on_signals() as stop, on_hangup(reload):
        agent.run(stop, arguments.seconds)
    return EXIT_OK
