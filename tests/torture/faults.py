"""What can go wrong, each as a function of the arena. `FAULTS` is the menu, with how often each is chosen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from deploy.demo.services import Service
from tests.torture.arena import Arena

Fault = Callable[[Arena], None]


def _pause(arena: Arena, most_s: float) -> None:
    time.sleep(arena.random.uniform(0, most_s))


def _an_agent(arena: Arena) -> Service:
    return arena.agents[arena.random.choice(arena.names)]


def _kill(service: Service | None) -> None:
    if service is not None:
        service.kill()


def kill_agent(arena: Arena) -> None:
    """kill -9 of an agent."""
    _kill(_an_agent(arena))
    _pause(arena, 0.3)


def kill_collector(arena: Arena) -> None:
    """kill -9 of the collector."""
    _kill(arena.collector)
    _pause(arena, 0.5)


def kill_both(arena: Arena) -> None:
    """kill -9 of all, in any order; they come back in any order."""
    services = arena.services
    arena.random.shuffle(services)
    for service in services:
        _kill(service)
        _pause(arena, 0.1)


def kill_before_the_answer(arena: Arena) -> None:
    """The collector stores, the answer is held up, and the collector dies: stored, and nobody was told."""
    arena.relay.weather.hold_down = True
    time.sleep(arena.random.uniform(0.2, 0.8))
    _kill(arena.collector)
    arena.relay.cut()
    arena.relay.clear()


def lose_the_answer(arena: Arena) -> None:
    """The answer is held up, and the connection dies: the agent must ask again, the collector must know."""
    arena.relay.weather.hold_down = True
    time.sleep(arena.random.uniform(0.2, 0.8))
    arena.relay.cut()
    arena.relay.clear()


def lose_the_batch(arena: Arena) -> None:
    """Batches are held up half-way, and the connection dies."""
    arena.relay.weather.hold_up = True
    time.sleep(arena.random.uniform(0.1, 0.5))
    arena.relay.cut()
    arena.relay.clear()


def cut(arena: Arena) -> None:
    """All connections are reset, some times."""
    for _ in range(arena.random.randint(1, 4)):
        arena.relay.cut()
        _pause(arena, 0.3)


def away(arena: Arena) -> None:
    """Nobody answers for a while."""
    arena.relay.weather.refuse = True
    arena.relay.cut()
    _pause(arena, 2.0)
    arena.relay.clear()


def slow(arena: Arena) -> None:
    """A far and thin line."""
    arena.relay.weather.delay_s = arena.random.uniform(0.01, 0.2)
    arena.relay.weather.bytes_per_second = arena.random.choice([20_000, 100_000, 1_000_000])
    time.sleep(arena.random.uniform(0.5, 2.0))
    arena.relay.clear()


def stop_agent(arena: Arena) -> None:
    """SIGTERM to an agent: a clean end, after which the numbering goes on."""
    service = _an_agent(arena)
    if service.running:
        os.kill(service.pid, signal.SIGTERM)
    if arena.random.random() < 0.5:
        _pause(arena, 0.3)
        _kill(service)  # while it stops
    else:
        service.stop(180)


def stop_collector(arena: Arena) -> None:
    """SIGTERM to the collector, and sometimes kill -9 while it stops."""
    service = arena.collector
    if service is None or not service.running:
        return
    os.kill(service.pid, signal.SIGTERM)
    if arena.random.random() < 0.5:
        _pause(arena, 0.2)
        _kill(service)
    else:
        service.stop(180)


def freeze(arena: Arena) -> None:
    """SIGSTOP: a process that holds its connections and says nothing, longer than it is waited for."""
    running = [service for service in arena.services if service.running]
    if not running:
        return
    service = arena.random.choice(running)
    os.kill(service.pid, signal.SIGSTOP)
    time.sleep(arena.random.choice([0.3, 1.0, 2.0, 12.0]))
    if arena.random.random() < 0.3:
        _kill(service)
    else:
        os.kill(service.pid, signal.SIGCONT)


def fill_spools(arena: Arena) -> None:
    """The disk of the spools is full; sometimes an agent dies meanwhile."""
    arena.spool_disk.fill()
    _pause(arena, 1.0)
    if arena.random.random() < 0.5:
        _kill(_an_agent(arena))
    arena.spool_disk.relieve()


def fill_store(arena: Arena) -> None:
    """The disk of the store is full but for a quarter of the low-water mark: batches go back to the agents. Sometimes
    the collector dies meanwhile."""
    arena.store_disk.fill(leave=64 << 20)
    _pause(arena, 1.5)
    if arena.random.random() < 0.5:
        _kill(arena.collector)
    arena.store_disk.relieve()


#: What is chosen from, and how often. What needs a disk of its own is left out where there is none.
FAULTS: dict[Fault, int] = {
    kill_agent: 6,
    kill_collector: 4,
    kill_both: 2,
    kill_before_the_answer: 4,
    lose_the_answer: 6,
    lose_the_batch: 4,
    cut: 4,
    away: 2,
    slow: 2,
    stop_agent: 3,
    stop_collector: 2,
    freeze: 3,
    fill_spools: 2,
    fill_store: 2,
}


def choose(arena: Arena) -> Fault:
    """One of the menu."""
    menu = {
        fault: weight
        for fault, weight in FAULTS.items()
        if (fault is not fill_spools or arena.spool_disk.fillable)
        and (fault is not fill_store or arena.store_disk.fillable)
    }
    return arena.random.choices(list(menu), list(menu.values()))[0]
