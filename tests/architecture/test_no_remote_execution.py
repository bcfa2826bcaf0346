"""No message could make an agent run, read or write anything, and no part of the agent would do it.

What a collector can say is a closed list; whoever adds to it changes this file and deploy/no-remote-execution.md. What
the agent starts or loads is a short list that was read by people, and none of it depends on what comes from afar.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from luytre_common.policy import ALLOWED
from luytre_common.wire.v1 import ingest_pb2 as pb

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agent/luytre_agent"
COMMON = ROOT / "proto/luytre_common"
CORE = ROOT / "agent/core/src"

#: Everything that reaches an agent, field by field, and what the agent does with it.
HEARD = {
    "CollectorMessage": {
        "welcome": "Welcome",
        "ack": "Ack",
        "refusal": "Refusal",
        "policy": "Policy",
        "ping": "Ping",
    },
    "Welcome": {
        "protocol": "uint32",  # compared
        "collector_id": "string",  # ignored
        "collector_time_us": "sint64",  # ignored
        "credit": "uint32",  # how many batches may be under way
        "agent_id": "string",  # a line of the log
    },
    "Ack": {
        "boot_id": "string",  # looked up among the batches that were sent
        "stream": "string",
        "through_sequence": "uint64",
        "credit": "uint32",
    },
    "Refusal": {
        "boot_id": "string",  # looked up among the batches that were sent
        "stream": "string",
        "first_sequence": "uint64",
        "code": "RefusalCode",  # the label of a counter
        "message": "string",  # a line of the log
    },
    "Policy": {
        "version": "uint64",  # compared
        "document": "bytes",  # signed by an operator; settings of luytre_common.policy.ALLOWED and nothing else
        "signature": "bytes",
    },
    "Ping": {"nonce": "fixed64"},  # sent back
    "Certificate": {  # the answer to what the agent asked: its own next certificate
        "certificate": "bytes",
        "authority": "bytes",
        "policy_key": "bytes",  # taken at enrolment only, which a person starts on the host
        "port": "uint32",  # written into the configuration at enrolment
    },
}

#: Every method there is. An agent calls them; it serves none.
METHODS = {
    "Ingest.Deliver": ("AgentMessage", "CollectorMessage"),
    "Ingest.Renew": ("RenewRequest", "Certificate"),
    "Enrolment.Enrol": ("EnrolRequest", "Certificate"),
}

_TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def type_of(field: FieldDescriptor) -> str:
    if field.message_type:
        return str(field.message_type.name)
    return str(field.enum_type.name) if field.enum_type else _TYPES[field.type]


def reachable(message: Descriptor, found: dict[str, dict[str, str]]) -> None:
    if message.name in found:
        return
    found[message.name] = {field.name: type_of(field) for field in message.fields}
    for field in message.fields:
        if field.message_type:
            reachable(field.message_type, found)


def test_what_an_agent_can_be_told_is_a_closed_list() -> None:
    methods = {}
    heard: dict[str, dict[str, str]] = {}
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            methods[f"{service.name}.{method.name}"] = (method.input_type.name, method.output_type.name)
            reachable(method.output_type, heard)
    assert methods == METHODS
    assert heard == HEARD


def test_no_name_on_the_whole_wire_sounds_like_an_order() -> None:
    orders = re.compile(
        r"(^|_)(run|exec|execute|command|shell|script|eval|code|program|binary|upload|download|file|path|url|fetch"
        r"|update|upgrade|install|reboot|restart|kill|sql|query|plugin|module)(_|$)"
    )
    fields = {
        f"{message.name}.{field.name}"
        for message in pb.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if orders.search(field.name)
    }
    assert fields == {"Refusal.code"}  # an enum: why a batch is refused


def test_no_setting_of_a_policy_sounds_like_one() -> None:
    orders = re.compile(
        r"(^|[._])(exec|command|journalctl|program|script|url|collector|directory|root|socket|key)($|[._])"
    )
    assert [key for key in ALLOWED if orders.search(key)] == [
        "sources.inventory.bpf_program"
    ]  # whether they are listed
    # What feeds the programs that an agent starts by itself is for its own configuration file.
    assert not {"sources.logins.journalctl", "sources.logins.read", "sources.inventory.root"} & set(ALLOWED)


#: Names by which Python starts programs, or makes code of data.
_FORBIDDEN = re.compile(
    r"""subprocess(\..*)?|multiprocessing(\..*)?|pty(\..*)?|runpy(\..*)?|pickle(\..*)?|marshal(\..*)?|shelve(\..*)?
    |code|codeop|imp|importlib(\..*)?|dill|cloudpickle|ctypes(\..*)?|cffi|_posixsubprocess|concurrent\.interpreters
    |asyncio\.(create_)?subprocess.*|os\.(system|popen|exec.*|spawn.*|posix_spawn.*|fork.*|startfile)
    |eval|exec|compile|__import__|builtins(\..*)?|sys\.(modules|meta_path|path|path_hooks)|types\.(CodeType|FunctionType)
    |socketserver(\..*)?|http\.server(\..*)?|xmlrpc(\..*)?|grpc\.(aio\.)?server""",
    re.VERBOSE,
)

#: Reviewed: file, name, and why it is none of those.
REVIEWED = {
    ("luytre_agent/sources/logs/journal.py", "subprocess"): "journalctl, from [sources.logins] journalctl of the host's"
    " own file; its other arguments are constants and a cursor that journalctl itself gave",
    ("luytre_agent/sources/host/packages.py", "subprocess"): "rpm -qa with a constant format, below [sources.inventory]"
    " root of the host's own file",
    ("luytre_agent/memory.py", "ctypes"): "madvise(2), which Python has not for memory that it did not map",
    ("luytre_agent/limits/priority.py", "ctypes"): "ioprio_set(2), which Python has not",
    ("luytre_agent/sources/watch/inotify.py", "ctypes"): "inotify(7), which Python has not",
    ("luytre_agent/sources/watch/fanotify.py", "ctypes"): "fanotify(7), which Python has not",
    ("luytre_agent/sources/host/netlink.py", "ctypes"): "setns(2), which Python has from 3.12 on",
    ("luytre_agent/sources/host/clocks.py", "ctypes"): "adjtimex(2), which Python has not",
    ("luytre_agent/sources/host/bpf.py", "ctypes"): "bpf(2): BPF_PROG_GET_NEXT_ID and the like, to list programs",
}


def python_files() -> Iterator[tuple[str, ast.Module]]:
    for package in (AGENT, COMMON):
        for path in sorted(package.rglob("*.py")):
            if not path.name.endswith(("_pb2.py", "_pb2_grpc.py")):  # generated by protoc
                yield str(path.relative_to(package.parent)), ast.parse(path.read_bytes())


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
    return "?"


def suspicious(tree: ast.Module) -> Iterator[str]:
    """Modules imported and names used that could start a program or make code of data."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if _FORBIDDEN.fullmatch(one.name))
            case ast.ImportFrom(module=module, names=names):
                full = [f"{module}.{one.name}" for one in names]
                yield from (one for one in (str(module), *full) if _FORBIDDEN.fullmatch(one))
            case ast.Attribute():
                if _FORBIDDEN.fullmatch(name := dotted(node)):
                    yield name
            case ast.Name(id="eval" | "exec" | "compile" | "__import__" as name):
                yield name


def test_the_agent_starts_and_loads_nothing_but_what_was_reviewed() -> None:
    found = {(path, name.partition(".")[0]) for path, tree in python_files() for name in suspicious(tree)}
    assert found == set(REVIEWED)


def test_the_scan_would_find_them() -> None:
    for line in (
        "import subprocess as s",
        "from os import system",
        "import os; os.execv('/bin/sh', [])",
        "exec(text)",
        "f = eval",
        "from importlib import import_module",
        "import pickle",
        "__import__('x')",
        "import asyncio; asyncio.create_subprocess_shell('x')",
        "from concurrent import interpreters",
    ):
        assert list(suspicious(ast.parse(line))), line


def test_libraries_are_loaded_by_no_name() -> None:
    """`CDLL(None)` is what the process has already."""
    loads = [
        (path, ast.unparse(node.args[0]) if node.args else "")
        for path, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and dotted(node.func).rpartition(".")[2] in ("CDLL", "PyDLL", "LoadLibrary", "cdll")
    ]
    assert loads
    assert {name for _, name in loads} == {"None"}


def test_programs_are_started_without_a_shell() -> None:
    calls = [
        node
        for _, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func).startswith("subprocess.")
    ]
    assert calls
    for call in calls:
        assert isinstance(call.args[0], ast.List | ast.Name), ast.unparse(call)
        assert {word.arg for word in call.keywords} <= {
            "stdin",
            "stdout",
            "stderr",
            "capture_output",
            "timeout",
            "check",
        }


def test_the_agent_listens_nowhere() -> None:
    for path, tree in python_files():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                assert name not in ("accept", "add_secure_port", "add_insecure_port", "create_server", "start_server",
                                    "start_unix_server"), f"{path}: {name}"  # fmt: skip
                if name == "listen":  # of the spool: somebody wants to be told of batches
                    assert dotted(node.func) == "self._outbox.listen", path
                if name == "bind":  # rtnetlink(7) of this host
                    assert path == "luytre_agent/sources/host/netlink.py", path


def test_the_core_starts_and_loads_nothing() -> None:
    starts = re.compile(
        r"process::Command|Command::new|libc::(exec\w*|fork|vfork|system|popen|posix_spawn\w*|dlopen|listen|accept4?)\b"
        r"|libloading|TcpListener|UnixListener|load_file\("
    )
    found = []
    for path in sorted(CORE.rglob("*.rs")):
        if path.stem.endswith("tests") or "tests" in path.relative_to(CORE).parts:
            continue
        code = path.read_text().split("#[cfg(test)]")[0]
        found += [f"{path.name}: {match[0]}" for match in starts.finditer(code)]
    assert found == []
    assert list(CORE.rglob("*.rs"))


#: Puts every text that a policy can carry before the agent's sources, and tells what they did with them.
_WATCHED = """
import json, sys
from pathlib import Path

seen = []
MARK = "lt-mark"
DOING = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.spawn", "exec",
         "compile", "import", "ctypes.dlopen", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown",
         "os.link", "os.symlink", "os.truncate", "os.utime", "os.setxattr", "shutil.copyfile", "socket.connect",
         "socket.sendto", "open")

def hook(event, arguments):
    if event in DOING:
        text = repr(arguments)
        if MARK in text:
            writes = event != "open" or (arguments[2] or 0) & 3 or any(one in str(arguments[1]) for one in "wax+")
            seen.append((event, text[:300], bool(writes)))

from luytre_agent import config
from luytre_agent.sources import Context, redaction, wanted
from luytre_common import settings
from luytre_common.errors import Unavailable
from luytre_common.policy import ALLOWED

folder = Path(sys.argv[1])
for name in ("one", "two", "three"):
    (folder / f"{MARK}-{name}").mkdir()
texts = {"interfaces": [f"{MARK}0"], "patterns": [f"{MARK}-([a-z]+)"]}
paths = iter(("one", "two", "three"))
given = {}
for key, one in ALLOWED.items():
    if one.kind == "paths":
        given[key] = [str(folder / f"{MARK}-{next(paths)}"), f"/{MARK};touch /tmp/{MARK}"]
    elif one.kind in texts:
        given[key] = texts[one.kind]
given |= {"sources.processes.enabled": False, "sources.sockets.enabled": False}  # they take no text
own = settings.build(config.Config, {
    "tls": {"authority": "/a", "certificate": "/b", "key": "/c"}, "uplink": {"collector": "127.0.0.1:9"},
    "sources": {"state_directory": str(folder / "state"), "logins": {"read": "files", "auth_logs": []},
                "files": {"rung": "inotify"}},
})
effective = config.effective(own, given)
sys.addaudithook(hook)
redaction.apply(effective.redact)
opened = []
for name, make in wanted(effective.sources, Context()).items():
    source = make()
    try:
        source.open()
    except Unavailable:
        continue
    opened.append(name)
    source.poll(0.2)
    source.close()
print(json.dumps({"seen": seen, "opened": opened}))
"""


@pytest.mark.slow
def test_texts_of_a_policy_are_looked_at_and_never_acted_on(tmp_path: Path) -> None:
    """By Python's audit events: of a path it is asked what is there, and it is opened to be read; nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "files" in found["opened"]
    assert "inventory" in found["opened"]
    assert [one for one in found["seen"] if one[2]] == []
    assert found["seen"]  # it was looked at
    assert not Path("/tmp/lt-mark").exists()
