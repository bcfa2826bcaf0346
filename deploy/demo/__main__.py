"""`make demo`: a collector and an agent on this machine, a harmless attack story, the alerts.

    python -m deploy.demo [--lang en|vi] [--remove] [--capture-file]

Ends by itself: 0 if the alerts are exactly those of the story, 1 if not, 2 if it could not play.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from luytre_common.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, LuytreError

from deploy.demo import make_capture, report, story
from deploy.demo.namespaces import NamespaceError, Pair, pair
from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import AGENT, Service, ServiceError, Site
from deploy.demo.story import Act, Stage

_HOST = "web-01"
#: Query rules run every quarter of a minute, and look at what was stored before they began.
_ALERTS_WITHIN_S = 60.0


def main() -> int:
    """Play, report, clean up."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__.splitlines()[0])
    given = "vi" if os.environ.get("LANG", "").startswith("vi") else "en"
    parser.add_argument(
        "--lang", choices=("en", "vi"), default=given, help="language of the output (default: %(default)s)"
    )
    parser.add_argument("--remove", action="store_true", help="remove the folder with the store at the end")
    parser.add_argument("--capture-file", action="store_true", help="play from a capture file, as without root")
    arguments = parser.parse_args()
    screen = Screen(sys.stdout, arguments.lang, colour=wants_colour(sys.stdout))
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background starts its children deaf to SIGINT
        signal.signal(number, _interrupt)
    begin = time.monotonic()
    screen.title("Lũy Tre", screen.text("many thin stems, one wall", "nhiều cây mảnh, một bức tường"))
    folder = Path(tempfile.mkdtemp(prefix="luytre-demo-"))
    site = Site(folder)
    good = False
    try:
        from_file = arguments.capture_file or not _may_go_live(screen)
        with contextlib.ExitStack() as running:
            expected = _play(screen, site, running, from_file=from_file)
            good = _report(screen, site, expected)
        if not arguments.remove:
            report.show_next(screen, site)
        screen.line()
        screen.note(
            screen.text(
                f"{time.monotonic() - begin:.0f} seconds in all", f"tổng cộng {time.monotonic() - begin:.0f} giây"
            )
        )
    except (KeyboardInterrupt, NamespaceError, ServiceError, LuytreError, OSError) as error:
        if _interrupted(error):
            screen.line()
            screen.failed(screen.text("interrupted; everything was stopped", "bị ngắt; mọi thứ đã dừng"))
            return EXIT_FAILURE
        screen.failed(str(error))
        return EXIT_USAGE
    finally:
        _keep_or_remove(screen, folder, remove=arguments.remove)
    return EXIT_OK if good else EXIT_FAILURE


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: it reaches the services too, and stopping what has ended already may fail."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _may_go_live(screen: Screen) -> bool:
    """Whether this user may make namespaces and the machine has what the story needs; says what is missing."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append(screen.text("root (try: sudo make demo)", "quyền root (thử: sudo make demo)"))
    lacks += [tool for tool in ("ip", "bash") if not shutil.which(tool)]
    if story.SHELL_USER not in {user.pw_name for user in pwd.getpwall()}:
        lacks.append(screen.text(f"the user {story.SHELL_USER}", f"người dùng {story.SHELL_USER}"))
    if lacks:
        screen.line()
        screen.line(
            "  "
            + screen.text(
                f"Live capture needs {', '.join(lacks)}; the story comes from a capture file made on the spot instead.",
                f"Thu trực tiếp cần {', '.join(lacks)}: câu chuyện được phát từ tệp gói tin tạo tại chỗ.",
            )
        )
        screen.line(
            "  "
            + screen.text(
                "A file has no processes, so the reverse shell's alert is not expected.",
                "Tệp không có tiến trình nên không chờ cảnh báo shell ngược.",
            )
        )
    return not lacks


def _play(screen: Screen, site: Site, running: contextlib.ExitStack, *, from_file: bool) -> Sequence[Act]:
    """Start everything, play, wait until it is all stored, stop the agent; the acts whose alerts are expected."""
    screen.section("Getting ready", "Chuẩn bị")
    with screen.step("certificate authority, certificates for both ends", "trung tâm chứng thư, chứng thư cho hai đầu"):
        site.make()
    with screen.step("collector on the embedded store (chDB)", "bộ thu thập với kho nhúng (chDB)"):
        collector = site.start_collector()
        running.callback(_stop, collector)
    if from_file:
        _play_file(screen, site)
        expected = [act for act in story.ATTACKS if act is not story.SHELL]
    else:
        _play_live(screen, site, running)
        expected = list(story.ATTACKS)
    _wait_for_alerts(screen, site, expected, collector)
    return expected


def _play_live(screen: Screen, site: Site, running: contextlib.ExitStack) -> None:
    with screen.step(
        "two network namespaces, joined by a wire, with no way out", "hai không gian mạng nối với nhau, không có lối ra"
    ):
        made = running.enter_context(pair())
    screen.note(
        screen.text(
            f"blue {made.blue.ipv4}: our server · red {made.red.ipv4}: an attacker · {made.world.ipv4}: the world",
            f"blue {made.blue.ipv4}: máy chủ của ta · red {made.red.ipv4}: kẻ tấn công · {made.world.ipv4}: bên ngoài",
        )
    )
    agent = site.agent(site.agent_toml(_HOST, _live_settings(made)))
    with screen.step(
        "agent: packets of this machine and of blue, programs that run",
        "tác tử: gói tin của máy này và của blue, tiến trình",
    ):
        agent.start()
        running.callback(agent.kill)
        agent.wait_until(lambda: _capturing(site), 60)
    screen.section("The story", "Câu chuyện")
    screen.note(
        screen.text(
            "Malware in blue begins to call home, once a second. Meanwhile:",
            "Mã độc ở blue bắt đầu gọi về máy điều khiển, mỗi giây một lần. Trong lúc đó:",
        )
    )
    begin = time.monotonic()

    def told(act: Act, en: str, vi: str) -> None:
        screen.done(f"{time.monotonic() - begin:4.1f} s  {screen.text(en, vi)}")

    story.play(Stage(made, site.folder), told)
    with screen.step("agent stopped; its spool is empty", "tác tử đã dừng; hàng đợi trên đĩa đã trống"):
        _stop(agent)


def _live_settings(made: Pair) -> str:
    return f"""
[sources.packets]
interfaces = ["auto"]
inactive_timeout_seconds = 5.0
batch_seconds = 0.5

[[sources.packets.interface]]
name = "{made.blue.interface}"
network_namespace = "{made.blue.namespace}"
"""


def _capturing(site: Site) -> bool:
    """Whether the agent's own counters, blue's among them, have reached the tables."""
    found = site.query("SELECT count() AS rows FROM agent_health WHERE component = 'packets' AND label LIKE '%blue%'")
    return int(found[0]["rows"]) > 0


def _stop(service: Service) -> None:
    if code := service.stop(60):
        raise ServiceError(f"{service.name} ended with {code}: {service.last_words()}")


def _play_file(screen: Screen, site: Site) -> None:
    screen.section("The story", "Câu chuyện")
    capture = site.folder / "story.pcap"
    with screen.step("the story as a capture file that ends now", "câu chuyện thành tệp gói tin kết thúc lúc này"):
        count = make_capture.make(capture, time.time() - make_capture.LENGTH_S, Random(20261123))
    screen.note(screen.text(f"{count:,} packets: {capture}", f"{count:,} gói tin: {capture}"))
    config = site.agent_toml(_HOST)
    with screen.step("luytre-agent replay --deliver", "luytre-agent replay --deliver"):
        command = [*AGENT, "replay", str(capture), "--config", str(config), "--deliver"]
        replay = Service("agent replay", command, config.with_suffix(".log"))
        replay.start()
        try:
            replay.wait_until(lambda: not replay.running, 60)
        finally:
            replay.kill()
        if code := replay.process.returncode if replay.process else 1:
            raise ServiceError(f"replay ended with {code}: {replay.last_words()}")


def _wait_for_alerts(screen: Screen, site: Site, expected: Sequence[Act], collector: Service) -> None:
    """Until every expected alert is there, at most a minute; then a little longer, for alerts that nobody expects."""
    with screen.step("rules had their say", "các luật đã xét xong"):
        wanted = {act.rule_id for act in expected}
        deadline = time.monotonic() + _ALERTS_WITHIN_S
        while not wanted <= {one.rule_id for one in report.alerts(site)} and time.monotonic() < deadline:
            if not collector.running:
                raise ServiceError(f"{collector.name} ended: {collector.last_words()}")
            time.sleep(1)
        time.sleep(3)


def _report(screen: Screen, site: Site, expected: Sequence[Act]) -> bool:
    report.show_captured(screen, site)
    raised = report.alerts(site)
    report.show_alerts(screen, raised, shutil.get_terminal_size((120, 24)).columns)
    return report.verdict(screen, expected, raised)


def _keep_or_remove(screen: Screen, folder: Path, *, remove: bool) -> None:
    if remove:
        shutil.rmtree(folder, ignore_errors=True)
        return
    screen.note(
        screen.text(
            f"store, logs and certificates are kept in {folder}; remove them with: rm -r {folder}",
            f"kho dữ liệu, nhật ký và chứng thư còn ở {folder}; xóa bằng: rm -r {folder}",
        )
    )
    screen.line()


if __name__ == "__main__":
    sys.exit(main())
