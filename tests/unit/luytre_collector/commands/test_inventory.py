"""`agents` and `systems`: what is printed, of a store that holds three agents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from luytre_collector.__main__ import main
from luytre_collector.store import access

FILL = """
import sys
from pathlib import Path
from luytre_collector import registers
from luytre_collector.sites import Organisation, Sites, System
from luytre_collector.store import embedded, readonly
store = embedded.EmbeddedStore(embedded.Config(Path(sys.argv[1])), readonly.Config())
store.open()
store.migrate()
sites = Sites(
    [Organisation("hue", "Hue City", "Huế"), Organisation("ward", parent="hue")],
    [System("portal", "hue", 3, ["portal-*"], "Portal", "Cổng"), System("office", "ward", 2, ["ward-*"])],
)
for name, ago in (("portal-1", 5), ("ward-1", 3600), ("stray", 5)):
    store.command(
        "INSERT INTO luytre.agents (agent_id, host_name, first_seen, last_seen, recorded_time) VALUES"
        f" ('{name}', 'h', now64(6) - 9999, now64(6) - {ago}, now64(6))"
    )
registers.declare(store, sites, lambda system: 90, 1_795_000_000_000_000)
store.close()
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inventory")
    path = folder / "collector.toml"
    path.write_text(f"[store.embedded]\ndirectory = {json.dumps(str(folder / 'store'))}\n")
    subprocess.run([sys.executable, "-c", FILL, str(folder / "store")], check=True, timeout=120)
    return path


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: an engine opens one folder in its life."""
    line = [sys.executable, "-m", "luytre_collector", *arguments, "--config", str(config)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["portal-1", "stray", "ward-1"]),
        (["--organisation", "hue"], ["portal-1", "ward-1"]),
        (["--organisation", "ward"], ["ward-1"]),
        (["--system", "portal"], ["portal-1"]),
        (["--unassigned"], ["stray"]),
        (["--silent", "10"], ["ward-1"]),
        (["--silent", "10", "--system", "portal"], []),
    ],
)
def test_agents(config: Path, arguments: list[str], names: list[str]) -> None:
    done = run(config, "agents", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["agent_id"] for line in done.stdout.splitlines()] == names


@pytest.mark.parametrize("kind", ["organisation", "system"])
def test_a_name_that_nobody_declared_is_no_empty_answer(config: Path, kind: str) -> None:
    done = run(config, "agents", f"--{kind}", "o' OR 1")
    said = f"luytre-collector: o' OR 1: no such {kind} is declared; see: luytre-collector systems"
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(said)


def test_systems(config: Path) -> None:
    done = run(config, "systems", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    office, portal = (json.loads(line) for line in done.stdout.splitlines())
    assert (portal["system_id"], portal["system_name_vi"], portal["kept_days"]) == ("portal", "Cổng", 90)
    assert [(one["level"], one["organisation_id"], one["agents"], one["heard"]) for one in (office, portal)] == [
        (2, "ward", 1, 0),
        (3, "hue", 1, 1),
    ]


def test_as_tables(config: Path) -> None:
    agents, systems = run(config, "agents").stdout, run(config, "systems").stdout
    assert agents.count("\n") == 5
    assert "certificate_until" in agents
    assert systems.count("\n") == 4
    assert "kept_days" in systems


def test_rights_prints_the_role_of_an_organisation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sites = tmp_path / "sites.toml"
    sites.write_text('[[organisations]]\nid = "hue"\n')
    config = tmp_path / "collector.toml"
    tls = '[ingest.tls]\nauthority = "a"\ncertificate = "c"\nkey = "k"\n'
    config.write_text(f'{tls}[sites]\nfile = "{sites}"\n')
    for cluster in ("", "luytre"):
        given = ["--cluster", cluster] if cluster else []
        assert main(["rights", "hue", *given, "--config", str(config)]) == 0
        printed = capsys.readouterr().out
        assert printed == "".join(f"{one};\n" for one in access.role_statements("hue", cluster))
    assert main(["rights", "hui", "--config", str(config)]) == 2
    assert "hui: no such organisation" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["-1", "soon", "99999999999"])
def test_a_mistake_is_2(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["agents", "--silent", minutes])
    assert end.value.code == 2
    assert "number of minutes" in capsys.readouterr().err
