"""`run`, `check`, `dump`, `migrate`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from luytre_common.errors import EXIT_OK, EXIT_USAGE


def run(args: argparse.Namespace) -> int:
    """Run until told to stop."""
    _keep_memory()  # before anything imports pyarrow
    import asyncio
    import faulthandler
    import os

    from luytre_common.telemetry import configure_logging

    from luytre_collector import app
    from luytre_collector import config as configuration

    config = configuration.load(args.config)
    configure_logging(config.collector.log_level, config.collector.log_form)
    _many_descriptors()
    faulthandler.enable()  # a watchdog's SIGABRT leaves in the log where every thread was
    asyncio.run(app.run(config, args.ready_file, environment=os.environ, load=lambda: configuration.load(args.config)))
    return EXIT_OK


def _keep_memory() -> None:
    """Arrow's allocator gives back what was not used for ten seconds, not after 10 ms, its default: while rows are
    inserted it would give back everything, and the kernel would clear the same pages again, a fifth of the CPU.
    """
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "10000")


def _many_descriptors() -> None:
    """As many as the system allows: the usual 1024 are fewer than agents that may connect."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check(args: argparse.Namespace) -> int:
    """Read everything that `run` would read; 0 if it would start."""
    from luytre_common import tls
    from luytre_common.policy import load_keys

    from luytre_collector import config as configuration
    from luytre_collector import notify, sites
    from luytre_collector.detect import rules
    from luytre_collector.enrol.server import open_desk, revocation_lists
    from luytre_collector.httpd import server as httpd
    from luytre_collector.pki.books import read_revoked
    from luytre_collector.policy.folder import Folder
    from luytre_collector.retention import Keeping

    config = configuration.load(args.config)
    tls.read(config.ingest.tls, "collector")
    httpd.check(config.http, config.ingest.tls)
    desk = open_desk(config.enrol, config.ingest.tls)
    for path in revocation_lists(config.ingest.revocations, desk):
        read_revoked(path)
    notify.build(config.notify)
    declared = sites.read(config.sites)
    Keeping(config.retention, declared)
    keys = load_keys(config.policy.key) if config.policy.key else ()
    policies, unsound = Folder(config.policy.directory, keys).read()
    for line in unsound:
        print(f"policy not passed on: {line}", file=sys.stderr)
    ruleset = rules.load(config.detect.folders)
    for fault in ruleset.faults:
        print(f"rule not loaded: {fault}", file=sys.stderr)
    print(f"{args.config}: fine; {len(ruleset)} rules, {len(ruleset.faults)} faults in rules; {len(policies)} policies")
    if config.sites.file:
        print(f"{config.sites.file}: {len(declared.organisations)} organisations, {len(declared.systems)} systems")
    return EXIT_USAGE if ruleset.faults or unsound else EXIT_OK


def dump(args: argparse.Namespace) -> int:
    """Print the configuration as it takes effect, with every default and its meaning."""
    from luytre_common import settings

    from luytre_collector import config as configuration

    print(settings.dump(configuration.load(args.config)), end="")
    return EXIT_OK


def migrate(args: argparse.Namespace) -> int:
    """Bring the tables to the schema of this version; done by `run` as well."""
    from luytre_collector.store import choose

    store = choose.make_store(choose.load(args.config))
    store.open()
    try:
        done = store.migrate()
    finally:
        store.close()
    for line in done:
        print(line)
    print(f"{len(done)} changes" if done else "nothing to do")
    return EXIT_OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    given = {"parents": [shared]}
    parser = commands.add_parser("run", help="run the collector until SIGTERM; SIGHUP: read the rules again", **given)  # type: ignore[arg-type]
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="write HOST:PORT to FILE once agents can come")
    parser.set_defaults(run=run)
    for name, action, text in (
        ("check", check, "read config, certificates and rules, name every fault, and exit"),
        ("dump", dump, "print the configuration in effect, every default with its meaning"),
        ("migrate", migrate, "bring the tables to the schema of this version"),
    ):
        parser = commands.add_parser(name, help=text, **given)  # type: ignore[arg-type]
        parser.set_defaults(run=action)
