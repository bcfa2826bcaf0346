"""How much may wait."""

import asyncio

from luytre_collector.ingest.budget import Budget


async def test_reading_stops_when_full_and_goes_on_when_there_is_room() -> None:
    budget = Budget(100)
    await budget.take(80)
    waiting = asyncio.create_task(budget.take(30))
    await asyncio.sleep(0)
    assert not waiting.done()
    await budget.give(80)
    await waiting
    assert budget.used == 30


async def test_a_batch_larger_than_everything_goes_alone() -> None:
    budget = Budget(100)
    await budget.take(500)
    assert budget.used == 500


async def test_credit_shrinks_but_never_to_nothing() -> None:
    budget = Budget(100)
    assert budget.credit(16) == 16
    await budget.take(50)
    assert budget.credit(16) == 16
    await budget.take(25)
    assert budget.credit(16) == 8
    await budget.take(25)
    assert budget.credit(16) == 1
