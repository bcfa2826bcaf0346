"""The real agent with all its sources, and secrets planted in everything that it looks at: the rows are in the spool,
and no byte of a secret is, neither in the files nor in the bodies that are packed in them."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from deploy.demo.services import Service, Site
from tests.integration.conftest import Start, free_port
from tests.support.spooled import bodies

pytestmark = pytest.mark.root

DEADLINE_S = 60.0
#: What stands beside each secret, so that a row that is missing is no proof.
BESIDE = f"beside{secrets.token_hex(6)}"
#: Every secret has it, and nothing else in the world.
SECRET = f"hunter{secrets.token_hex(8)}"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI{SECRET}.dozjgNryP4J3jVmNHl0w5N"

#: Written as `python3 -c` of a process that holds secrets: changes a file, talks on the loopback, has a child.
ACTS = """
import pathlib, socket, subprocess, sys, time
pathlib.Path(sys.argv[1]).write_text("x")
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    accepted, _ = server.accept()
    client.sendall(b"x"); accepted.recv(1); accepted.close()
subprocess.run(["/bin/true"])
time.sleep(0.3)
"""

ARGUMENTS = [
    BESIDE,
    "--password", SECRET,
    f"--api-key={SECRET}",
    f"DB_PASSWORD={SECRET}",
    f"https://lan:{SECRET}@db.example/x?token={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f'{{"password": "{SECRET}"}}',
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    JWT,
]  # fmt: skip

LINES = [
    f"sudo[812]: lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql -p{SECRET} --comment={BESIDE} --password",
    f"sudo[812]: lan : (command continued) {SECRET} --password={SECRET}",
    f"CRON[7]: (root) CMD (curl -u lan:{SECRET} https://lan:{SECRET}@db.example/?api_key={SECRET})",
    f"pkexec[9]: lan: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=/usr/bin/tool --token {SECRET}]",
    f"nginx[5]: GET /reset?token={SECRET} cookie: {SECRET}",
]


class Host:
    """An agent's surroundings in a folder, and what it spooled."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.watched = site.folder / "watched"
        self.log = site.folder / "auth.log"
        self.root = site.folder / "root"
        self.watched.mkdir()
        self.log.touch()
        for name, content in {
            "etc/os-release": "ID=debian",
            "etc/passwd": "root:x:0:0::/root:/bin/sh",
            "etc/systemd/system/report.service": f"[Service]\nExecStart=/usr/bin/report --password {SECRET} {BESIDE}",
            "proc/sys/kernel/osrelease": "6.1",
            "proc/sys/kernel/version": "#1",
            "proc/cmdline": f"quiet luks.passphrase={SECRET}",
            "proc/self/mountinfo": f"1 1 0:1 / /mnt rw - fuse https://lan:{SECRET}@db.example/dav rw",
        }.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def agent(self) -> Service:
        """With every source; its collector is not there, so that everything stays in the spool."""
        settings = f"""
[sources.packets]
interfaces = ["lo"]
inactive_timeout_seconds = 1.0
[sources.files]
defaults = false
homes = false
fold_seconds = 0.05
paths = [{json.dumps(str(self.watched))}]
[sources.logins]
read = "files"
auth_logs = [{json.dumps(str(self.log))}]
wtmp = []
btmp = []
[sources.inventory]
root = {json.dumps(str(self.root))}
"""
        return self.site.agent(self.site.agent_toml("edge", settings, f"127.0.0.1:{free_port()}"))

    def plant(self) -> None:
        """Secrets in command lines, parents' command lines, scripts, paths and log lines."""
        tools = self.site.folder / f"token={SECRET}"
        tools.mkdir(exist_ok=True)
        script = tools / "run.sh"
        script.write_text("#!/bin/sh\nexec /bin/true\n")
        script.chmod(0o755)
        file = self.watched / f"{BESIDE};api_key={SECRET}"
        subprocess.run([sys.executable, "-c", ACTS, str(file), *ARGUMENTS], check=True, cwd=tools)
        subprocess.run(["/bin/sh", "-c", f"mysql -p{SECRET} </dev/null; true", BESIDE], check=True, stderr=-3)
        subprocess.run([str(script), BESIDE], check=True, cwd=tools)
        file.rename(self.watched / f"{BESIDE};secret={SECRET}")
        now = datetime.now().astimezone().isoformat()
        with self.log.open("a") as log:
            log.writelines(f"{now} web-01 {line}\n" for line in LINES)

    def spooled(self) -> Iterator[bytes]:
        """Every file of the agent, whole."""
        for folder in (self.site.folder / "spool-edge", self.site.folder / "state-edge"):
            for path in folder.rglob("*") if folder.exists() else ():
                if path.is_file():
                    yield path.read_bytes()

    def bodies(self) -> dict[str, bytes]:
        """By table, what the batches of the spool hold."""
        return bodies(self.site.folder / "spool-edge")


def test_planted_secrets_are_nowhere_in_the_spool(site: Site, ours: Start) -> None:
    host = Host(site)
    agent = ours(host.agent())
    agent.start()
    wanted = {"processes", "sockets", "flows", "files", "logins", "inventory"}
    deadline = time.monotonic() + DEADLINE_S
    found: dict[str, bytes] = {}
    while missing := wanted - {table for table, body in found.items() if BESIDE.encode() in body}:
        assert time.monotonic() < deadline, f"not in the spool: {missing}; {agent.last_words()}"
        host.plant()
        time.sleep(2.0)
        found = host.bodies()
    agent.kill()
    for table, body in host.bodies().items():
        at = body.find(SECRET.encode())
        assert at < 0, f"{table}: {body[max(0, at - 200) : at + 50]!r}"
    assert not [True for content in host.spooled() if SECRET.encode() in content]
    assert all(b"[redacted]" in found[table] for table in wanted)
    assert SECRET not in agent.log_text()


def test_the_search_finds_what_is_not_redacted(site: Site, ours: Start) -> None:
    """The proof above is one only if a secret would be found: with redaction off it is."""
    host = Host(site)
    service = host.agent()
    config = site.folder / "edge.toml"
    config.write_text(config.read_text() + "\n[redact]\nenabled = false\n")
    agent = ours(service)
    agent.start()
    deadline = time.monotonic() + DEADLINE_S
    wanted = {"processes", "sockets", "flows", "files", "logins", "inventory"}
    while wanted - {table for table, body in host.bodies().items() if SECRET.encode() in body}:
        assert time.monotonic() < deadline, agent.last_words()
        host.plant()
        time.sleep(2.0)
    agent.kill()
