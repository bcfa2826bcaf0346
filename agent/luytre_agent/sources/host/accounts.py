"""Users and groups of the host's own files: passwd(5), group(5). Never the passwords."""

from __future__ import annotations

from pathlib import Path

from luytre_agent.sources.host.files import content, mark
from luytre_agent.sources.host.things import Facts, text

#: Groups whose members can become root, or read everything.
PRIVILEGED = frozenset({"root", "sudo", "wheel", "admin", "adm", "docker", "lxd", "disk", "shadow"})


def users(passwd: bytes, group: bytes = b"") -> dict[str, Facts]:
    """By name; another line of the same name is `NAME:UID`. `privileged` names why: uid 0, groups."""
    privileged: dict[str, list[str]] = {}
    numbers: dict[str, str] = {}
    for name, facts in groups(group).items():
        if name in PRIVILEGED:
            numbers[facts["gid"]] = name
            for member in filter(None, facts["members"].split(",")):
                privileged.setdefault(member, []).append(name)
    found: dict[str, Facts] = {}
    for line in text(passwd).split("\n"):
        parts = line.split(":")
        if len(parts) != 7 or not parts[0] or line.startswith("#"):
            continue
        name, password, uid, gid, _, home, shell = parts
        reasons = [*(["uid0"] if _is_zero(uid) else []), *([numbers[gid]] if gid in numbers else [])]
        reasons += [one for one in privileged.get(name, []) if one not in reasons]
        facts = {
            "uid": uid,
            "gid": gid,
            "home": home,
            "shell": shell,
            "password": "" if password else "none",
            "privileged": ",".join(sorted(reasons)),
        }
        found[f"{name}:{uid}" if name in found else name] = facts
    return found


def groups(data: bytes) -> dict[str, dict[str, str]]:
    """By name; another line of the same name is `NAME:GID`."""
    found: dict[str, dict[str, str]] = {}
    for line in text(data).split("\n"):
        parts = line.split(":")
        if len(parts) != 4 or not parts[0] or line.startswith("#"):
            continue
        name, _, gid, members = parts
        facts = {"gid": gid, "members": ",".join(sorted(filter(None, members.split(","))))}
        found[f"{name}:{gid}" if name in found else name] = facts
    return found


def _is_zero(uid: str) -> bool:
    return uid.isascii() and uid.isdigit() and int(uid[:20]) == 0


def read_users(root: Path) -> dict[str, Facts]:
    """The users now."""
    try:
        group = content(root / "etc/group")
    except FileNotFoundError:
        group = b""
    return users(content(root / "etc/passwd"), group)


def read_groups(root: Path) -> dict[str, Facts]:
    """The groups now."""
    return dict(groups(content(root / "etc/group")))


def marks(root: Path) -> object:
    """Changes when either file does."""
    return [mark(root / "etc/passwd"), mark(root / "etc/group")]
