"""Whatever is done to a log file, every complete line is read exactly once; what was cut off is counted."""

# ruff: noqa: E501  (a story per line)

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from luytre_agent.sources.logs.split import Lines
from luytre_agent.sources.logs.tail import Tail
from luytre_common.telemetry import Counters

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("part"), st.integers(1, 12)),
        st.tuples(st.just("late"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["rename", "copytruncate", "truncate", "compress", "poll", "restart", "wait"]), st.just(0)),
    ),
    max_size=25,
)  # fmt: skip


class World:
    """A log and its writer, a reader that may be killed and started again, and what must have been read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "auth.log"
        self.path.touch()
        self.now = 0.0
        self.serial = 0
        self.part = b""
        self.old: Any = None
        self.wanted: list[str] = []
        self.unread: list[str] = []
        self.lost: set[str] = set()
        self.unknown: set[str] = set()
        self.fresh = True
        self.seen: list[str] = []
        self.saved: Any = None
        self.counters = Counters("x")
        self.tail = self.started()
        self.saved = self.tail.state()

    def started(self) -> Tail:
        tail = Tail(self.path, Lines, self.counters, lambda: self.now, linger_s=10.0)
        tail.open(json.loads(json.dumps(self.saved)))
        return tail

    def line(self) -> str:
        self.serial += 1
        return f"line {self.serial} {'x' * (self.serial * 37 % 90)}"

    def append(self, count: int) -> None:
        for _ in range(count):
            line = self.line()
            with self.path.open("ab") as file:
                file.write((line if not self.part else "").encode() + b"\n")
            if self.part:
                line, self.part = self.part.decode(), b""
            self.wanted.append(line)
            self.unread.append(line)

    def do_part(self, length: int) -> None:
        text = f"part {self.serial} {'y' * length}".encode() if not self.part else b"z" * length
        self.serial += 1
        self.part += text
        with self.path.open("ab") as file:
            file.write(text)

    def late(self, count: int) -> None:
        """The writer has not noticed yet that its file was renamed."""
        if self.old is not None:
            for _ in range(count):
                line = self.line()
                os.write(self.old, line.encode() + b"\n")
                self.wanted.append(line)
                self.unread.append(line)

    def shift(self) -> Path:
        """Older ones get the next number."""
        for path in sorted(self.path.parent.glob("auth.log.*"), key=lambda one: -int(one.name.split(".")[2])):
            name, _, number, *packed = path.name.split(".")
            path.rename(path.with_name(".".join([name, "log", str(int(number) + 1), *packed])))
        return self.path.with_name("auth.log.1")

    def forget_old(self) -> None:
        if self.old is not None:
            os.close(self.old)
        self.old = None

    def rename(self) -> None:
        self.forget_old()
        self.end_part()
        self.old = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self.path.rename(self.shift())
        self.path.touch()
        self.fresh = True

    def copytruncate(self) -> None:
        self.end_part()
        shutil.copyfile(self.path, self.shift())
        self.cut_off()

    def truncate(self) -> None:
        self.lost |= set(self.unread)
        self.part = b""
        self.cut_off()

    def cut_off(self) -> None:
        """A file that came and went between two looks, under a name that stayed, leaves no trace to be counted."""
        if self.fresh:
            self.unknown |= set(self.unread)
        self.unread = []
        self.fresh = True
        os.truncate(self.path, 0)

    def end_part(self) -> None:
        if self.part:
            self.append(1)

    def compress(self) -> None:
        self.forget_old()
        for path in self.path.parent.glob("auth.log.?"):
            status = path.stat()
            with gzip.open(f"{path}.gz", "wb") as file:
                file.write(path.read_bytes())
            os.utime(f"{path}.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
            path.unlink()

    def poll(self) -> None:
        self.seen += [item.decode() for item in self.tail.read(1 << 22)]
        self.unread = []
        self.fresh = self.path.stat().st_size == 0

    def restart(self) -> None:
        """What was read since the last time of safety is read again only by who had not handed it on."""
        self.saved = self.tail.state()
        self.tail.close()
        self.tail = self.started()

    def wait(self) -> None:
        self.now += 20.0
        self.forget_old()

    def do(self, step: str, argument: int) -> None:
        {"append": self.append, "part": self.do_part, "late": self.late}.get(
            step, lambda _: getattr(self, step)()
        )(argument)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(STEPS)
@example([("append", 2), ("poll", 0), ("append", 2), ("copytruncate", 0), ("append", 5), ("poll", 0)])
@example([("append", 2), ("poll", 0), ("restart", 0), ("append", 1), ("rename", 0), ("append", 1), ("rename", 0), ("compress", 0), ("restart", 0)])  # fmt: skip
def test_every_line_once(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step, argument in steps:
            world.do(step, argument)
        world.end_part()
        world.poll()
        world.wait()
        world.poll()
        world.tail.close()
        world.forget_old()
        lines = [line for line in world.seen if line.startswith(("line", "part"))]
        assert len(lines) == len(set(lines)), "doubled"
        missing = set(world.wanted) - set(lines)
        assert missing <= world.lost | world.unknown
        assert not set(lines) - set(world.wanted), "torn"
        if missing - world.unknown:
            assert world.counters.get("truncations", "auth.log") >= 1
            assert world.counters.get("truncations_without_copy", "auth.log") >= 1
