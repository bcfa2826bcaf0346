"""What the hash chain costs the collector for each batch, beside opening its body: `python -m tests.bench.bench_chain`.

Prints microseconds of one thread; the floor is SHA-256 of the body alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from luytre_collector.ingest.chain import Chains
from luytre_collector.ingest.decode import decode
from luytre_collector.ingest.dedupe import Dedupe
from luytre_common.telemetry import Counters

from tests.support.batches import admitted
from tests.support.chained import Chained

ROUNDS = 50


def each_us(action: Callable[[], object], count: int) -> float:
    """CPU of one of `count` steps."""
    begin = time.thread_time()
    action()
    return (time.thread_time() - begin) / count * 1e6


def main() -> None:
    """Measure and print."""
    print(f"{'rows':>7} {'body, bytes':>12} {'decode':>10} {'dedupe':>10} {'chain':>10} {'SHA-256':>10}   us a batch")
    for rows in (1, 100, 1000):
        made = Chained(count=rows)
        batches = [admitted(made.batch()) for _ in range(ROUNDS)]
        dedupe = Dedupe(lambda _table, _numberings: {}, Counters("pipeline"))
        chains = Chains(lambda _: None, Counters("chain"))
        fresh = [dedupe.judge(batch) for batch in batches]
        pairs = list(zip(batches, fresh, strict=True))
        opened = each_us(lambda: [decode(batch) for batch in batches], ROUNDS)  # noqa: B023 - called at once
        other = Dedupe(lambda _table, _numberings: {}, Counters("pipeline"))
        judged = each_us(lambda: [other.judge(batch) for batch in batches], ROUNDS)  # noqa: B023
        checked = each_us(lambda: [chains.check(*pair) for pair in pairs], ROUNDS)  # noqa: B023
        floor = each_us(lambda: [hashlib.sha256(batch.body).digest() for batch in batches], ROUNDS)  # noqa: B023
        size = sum(len(batch.body) for batch in batches) // ROUNDS
        print(f"{rows:>7} {size:>12,} {opened:>10.1f} {judged:>10.1f} {checked:>10.1f} {floor:>10.1f}")


if __name__ == "__main__":
    main()
