"""`make demo` as a newcomer runs it: it ends by itself with 0, can be interrupted, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo import namespaces, report, story
from deploy.demo.namespaces import inside, pair
from deploy.demo.report import Raised
from deploy.demo.screen import Screen, width
from deploy.demo.services import Site
from tests.integration.conftest import Start

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "deploy.demo", "--remove"]


def names_left() -> set[str]:
    folder = Path("/run/netns")
    return {path.name for path in folder.glob("luytre-*")} if folder.is_dir() else set()


def processes_in(folder: str) -> list[str]:
    """Command lines of processes that have the folder's name in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [["--lang", "en"], ["--lang", "vi", "--capture-file"]], ids=["live", "capture-file"])
def test_alerts_are_exactly_those_of_the_story(way: list[str], tmp_path: Path) -> None:
    before = names_left()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*DEMO, *way], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert names_left() <= before
    assert processes_in(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_interrupted_in_the_middle(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group: the demo says so and ends with 1; services and namespaces are gone."""
    before = names_left()
    demo = subprocess.Popen(
        [*DEMO, "--lang", "en"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert demo.stdout is not None
    try:
        said = []
        for line in demo.stdout:
            said.append(line)
            if "password" in line:
                os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(60) == 1, "".join(said)
    finally:
        demo.kill()
        demo.stdout.close()
        demo.wait(10)
    assert any("interrupted" in line for line in said), "".join(said)
    assert not any("Traceback" in line for line in said), "".join(said)
    assert names_left() <= before
    assert processes_in(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_namespaces_have_no_way_out_and_are_removed() -> None:
    with pytest.raises(KeyboardInterrupt), pair() as made:  # noqa: PT012 - the block is what is tested
        routes = subprocess.run(
            ["ip", "-n", made.blue.namespace, "route"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
        assert "default" not in routes
        assert {line.split()[0] for line in routes.splitlines()} == {made.red.ipv4, made.world.ipv4}
        mine = Path("/proc/thread-self/ns/net")
        home = mine.readlink()
        with inside(made.red.namespace):
            assert mine.readlink() != home
        assert mine.readlink() == home
        raise KeyboardInterrupt
    assert not {made.red.namespace, made.blue.namespace} & names_left()


@pytest.mark.root
def test_namespaces_of_a_killed_run_are_removed_and_no_others() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait(10)
    stale = f"luytre-red-{ended.pid}-1"
    others = "luytre-test-of-somebody-else"
    for name in (stale, others):
        subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
    try:
        with pair() as living:
            assert stale not in names_left()
            assert namespaces.remove_stale() == []
            assert {living.red.namespace, living.blue.namespace, others} <= names_left()
    finally:
        subprocess.run(["ip", "netns", "delete", others], check=True, timeout=10)


def raised(rule_id: str) -> Raised:
    return Raised(rule_id, "Name", "Tên", "high", ("T1046",), "web-01", "why", 1.5)


@pytest.mark.parametrize(
    ("rules", "good", "words"),
    [
        ([act.rule_id for act in story.ATTACKS], True, "exactly the 5 attacks"),
        ([act.rule_id for act in story.ATTACKS[1:]], False, "not noticed: port scan"),
        ([act.rule_id for act in (*story.ATTACKS, story.SCAN)], False, "more than once: port scan"),
        ([*(act.rule_id for act in story.ATTACKS), *story.SHELL.other_rule_ids], True, "exactly the 5 attacks"),
        ([*(act.rule_id for act in story.ATTACKS), "other"], False, "not part of the story: Name"),
        ([], False, "not noticed"),
    ],
)
def test_verdict(rules: list[str], good: bool, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(sys.stdout, "en", colour=False)
    assert report.verdict(screen, story.ATTACKS, [raised(rule) for rule in rules]) is good
    assert words in capsys.readouterr().out


def test_tables_line_up_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(sys.stdout, "vi", colour=False)
    screen.table(["mức", "luật", "số"], [["nghiêm trọng", "Quét cổng", "1,024"], ["cao", "e\u0301", "7"]])
    lines = capsys.readouterr().out.splitlines()
    assert {width(line) for line in (lines[0], lines[2], lines[3])} == {width(lines[1])}
    assert lines[3].endswith("    7")


def test_questions_can_be_asked(site: Site, ours: Start) -> None:
    """The SQL that the demo ends with runs, and survives the double quotes it is shown in."""
    ours(site.start_collector())
    for _, _, sql in report.QUESTIONS:
        assert site.query(sql) == []
        assert not set('"$`\\') & set(sql)
