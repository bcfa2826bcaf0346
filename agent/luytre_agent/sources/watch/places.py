"""What is watched: files and directories that decide who may enter a Linux server and what runs on it.

A place is a path. If it is a directory, everything in it is watched, at any depth. Places need not exist: the
directories above are watched for the name to appear.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from luytre_agent.sources.watch.hint import below, join
from luytre_agent.sources.watch.safe import open_folder

#: By what a change there can do.
DEFAULT = (
    # accounts
    "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid", "/etc/login.defs",
    "/etc/nsswitch.conf", "/etc/security",
    # who may become whom
    "/etc/sudoers", "/etc/sudoers.d", "/etc/sudo.conf", "/etc/doas.conf", "/etc/polkit-1",
    "/usr/share/polkit-1/rules.d",
    # who may enter
    "/etc/ssh", "/etc/pam.conf", "/etc/pam.d", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/hosts", "/etc/resolv.conf",
    # what runs by itself
    "/etc/crontab", "/etc/anacrontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
    "/etc/cron.monthly", "/etc/cron.allow", "/etc/cron.deny", "/var/spool/cron", "/var/spool/at",
    "/etc/systemd/system", "/etc/systemd/user", "/etc/systemd/system-generators", "/etc/systemd/user-generators",
    "/run/systemd/system", "/usr/local/lib/systemd", "/usr/lib/systemd/system", "/lib/systemd/system",
    "/usr/lib/systemd/user", "/usr/lib/systemd/system-generators", "/etc/init.d", "/etc/rc.local", "/etc/inittab",
    "/etc/xdg/autostart", "/etc/update-motd.d", "/etc/NetworkManager/dispatcher.d", "/etc/network",
    "/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/etc/apt/apt.conf.d", "/etc/logrotate.d", "/etc/xinetd.d",
    # shells
    "/etc/profile", "/etc/profile.d", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh", "/etc/environment", "/etc/shells",
    # what is loaded into every program, and into the kernel
    "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/modules", "/etc/modules-load.d",
    "/etc/modprobe.d", "/usr/lib/modprobe.d", "/etc/sysctl.conf", "/etc/sysctl.d", "/etc/initramfs-tools",
    # what sees all this
    "/etc/audit", "/etc/rsyslog.conf", "/etc/rsyslog.d", "/etc/luytre",
)  # fmt: skip

#: In the home of every user.
HOME = (
    ".ssh", ".rhosts", ".shosts", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc",
    ".zshenv", ".zprofile", ".pam_environment", ".forward", ".config/systemd/user", ".config/autostart",
)  # fmt: skip

_NO_HOMES = ("/proc", "/sys", "/dev", "/nonexistent")


def resolve(paths: Iterable[str], homes: Iterable[str]) -> frozenset[str]:
    """The places, without symbolic links in what only root can change: in a user's home none is followed."""
    places: set[str] = set()
    for path in map(os.path.normpath, paths):
        folder, name = os.path.split(path)
        places.add(join(os.path.realpath(folder), name))
        if os.path.islink(path) and os.path.isdir(path):  # noqa: PTH114, PTH112
            places.add(os.path.realpath(path))
    for home in homes:
        if not any(below(home, no) for no in _NO_HOMES):
            resolved = os.path.realpath(home)
            places.update(join(resolved, name) for name in HOME)
    return frozenset(places)


class Plan:
    """The places, with what is left out."""

    def __init__(self, places: Iterable[str], leave_out: Sequence[str] = ()) -> None:
        self.places = frozenset(places)
        self._leave_out = tuple(map(os.path.normpath, leave_out))

    def wanted(self, path: str) -> bool:
        """Whether `path` is a place, or in one."""
        if self.left_out(path):
            return False
        while path not in self.places:
            path, _, name = path.rpartition("/")
            if not name or not path:
                return False
        return True

    def left_out(self, path: str) -> bool:
        """Whether `path` is excluded."""
        return any(below(path, one) for one in self._leave_out)

    def leads(self, path: str) -> bool:
        """Whether a place is, or may come to be, in the directory `path`, or `path` in a place."""
        return self.wanted(path) or any(below(place, path) for place in self.places)

    def folders(self, under: str) -> Iterator[str]:
        """Directories to be watched that are `under` or in it: all that lead to a place, and all in
        the places. Each is given before it is read, so that a watch can be set before its content is listed."""
        given: set[str] = set()
        for place in sorted(self.places):
            start = under if below(under, place) else place
            if not below(start, under):
                continue
            if start == place:
                for above in _above(place):
                    if below(above, under) and above not in given and _is_folder(above):
                        given.add(above)
                        yield above
            yield from self._walk(start, given)

    def _walk(self, start: str, given: set[str]) -> Iterator[str]:
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            if self.left_out(folder) or not _is_folder(folder):
                continue
            if folder not in given:
                given.add(folder)
                yield folder
            waiting += [join(folder, name) for name, is_dir in entries(folder) if is_dir]


def _above(path: str) -> list[str]:
    """The directories that lead to a path, the topmost first."""
    parts = path.split("/")
    return ["/".join(parts[:length]) or "/" for length in range(1, len(parts))]


def _is_folder(path: str) -> bool:
    try:
        os.close(open_folder(path))
    except OSError:
        return False
    return True


def entries(folder: str) -> list[tuple[str, bool]]:
    """Names in a directory, and whether each is a directory itself; empty if it cannot be read."""
    try:
        fd = open_folder(folder)
    except OSError:
        return []
    try:
        with os.scandir(fd) as found:
            return sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)
    except OSError:
        return []
    finally:
        os.close(fd)
