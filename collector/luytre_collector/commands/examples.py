"""Examples in the help of commands that need no more than a line or two; the others bring their own."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

EXAMPLES: Mapping[str, str] = {
    "run": "luytre-collector run --config /etc/luytre/collector.toml",
    "check": "luytre-collector check --config /etc/luytre/collector.toml",
    "dump": "luytre-collector dump | grep -A9 '^.retention'",
    "migrate": "luytre-collector migrate",
    "backup": "luytre-collector backup /srv/backup/2026-11-23",
    "restore": "luytre-collector restore /srv/backup/2026-11-23   into an empty store.embedded.directory",
    "http user add": "luytre-collector http user add mai\n"
    "luytre-collector http user add minh --organisation hue\n"
    "luytre-collector http user add grafana < password.txt",
    "http user remove": "luytre-collector http user remove mai",
    "http user list": "luytre-collector http user list",
    "pki init": "luytre-collector pki init --dir pki",
    "pki issue": "luytre-collector pki issue collector --collector --dir pki --host soc.example --host 192.0.2.10\n"
    "luytre-collector pki issue web-01 --agent --dir pki",
    "enrol list": "luytre-collector enrol list --json",
    "enrol revoke": "luytre-collector enrol revoke 3f9c2a7e",
    "rules list": "luytre-collector rules list\nluytre-collector rules list my-rules/ --json",
    "rules check": "luytre-collector rules check my-rules/",
    "rules fields": "luytre-collector rules fields",
}


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, by its words."""
    # argparse has no public way to ask for subcommands
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, one in action.choices.items():
            yield from leaves(one, f"{name} {word}".strip())


def give(top: argparse.ArgumentParser) -> None:
    """Give those commands their examples that have none."""
    for name, parser in leaves(top):
        if parser.epilog is None and name in EXAMPLES:
            lines = "\n".join(f"  {line}" for line in EXAMPLES[name].splitlines())
            parser.epilog = f"examples:\n{lines}"
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
