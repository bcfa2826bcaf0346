"""Events that no capture has, made up as a busy web server would have them: the same every time, but for their times.

Few programs and many command lines; clients from everywhere, of whom some come back; uploads beside files that hardly
change; people who log in, and strangers who try.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]

_PROGRAMS = [f"/usr/{folder}/{name}" for folder in ("bin", "sbin") for name in (
    "php", "sh", "convert", "curl", "date", "find", "git", "grep", "gzip", "id", "logrotate", "mysqldump",
    "nginx", "openssl", "python3", "rsync", "sed", "sort", "ssh", "tar", "wc", "xargs",
)]  # fmt: skip
_USERS = [("root", 0), ("www-data", 33), ("backup", 34)]


def process(chance: random.Random, number: int, at: int) -> Row:
    """Of table `processes`."""
    program, parent = chance.choice(_PROGRAMS), chance.choice(_PROGRAMS[:8])
    name = program.rpartition("/")[2]
    args = [
        name,
        "--config",
        f"/etc/{name}/{chance.randrange(40)}.conf",
        f"/srv/www/{chance.randrange(100_000):05d}.tmp",
    ]
    ended = number % 2 == 1
    pid, user = 1000 + number // 2 % 30_000, chance.choice(_USERS)
    return {
        "event_time": at,
        "event_action": "exit" if ended else "exec",
        "event_source": "ebpf",
        "process_pid": pid,
        "process_entity_id": chance.getrandbits(64),
        "process_start": at - 150,
        "process_name": name,
        "process_executable": program,
        "process_command_line": " ".join(args),
        "process_args": args,
        "process_working_directory": "/srv/www",
        "process_parent_pid": 700 + chance.randrange(64),
        "process_parent_entity_id": chance.getrandbits(64),
        "process_parent_name": parent.rpartition("/")[2],
        "process_parent_executable": parent,
        "process_parent_command_line": f"{parent} -c worker",
        "user_id": user[1],
        "user_name": user[0],
        "user_effective_id": user[1],
        "user_effective_name": user[0],
        "group_id": user[1],
        "user_audit_id": 0xFFFF_FFFF,
        "process_session_id": 700,
        "systemd_unit": "php8.2-fpm.service",
        "process_lifetime": chance.randrange(500_000) if ended else 0,
        "process_cpu_time": chance.randrange(90_000) if ended else 0,
    }


def socket(chance: random.Random, number: int, at: int) -> Row:
    """Of table `sockets`: clients of a service that runs for months, and short-lived programs that connect outwards."""
    ended = number % 2 == 1
    seed = random.Random(number // 2)  # both ends of a connection say the same of it
    inward = seed.random() < 0.7
    here, there = _address("10.1.0.7"), _far(seed)
    program = "/usr/sbin/nginx" if inward else seed.choice(_PROGRAMS)
    name = program.rpartition("/")[2]
    user = _USERS[1] if inward else seed.choice(_USERS)
    return {
        "event_time": at,
        "event_action": "close" if ended else "accept" if inward else "connect",
        "event_source": "ebpf",
        "source_ip": there if inward else here,
        "source_port": seed.randrange(32_768, 61_000),
        "destination_ip": here if inward else there,
        "destination_port": 443 if inward or seed.random() < 0.8 else seed.choice([25, 80, 5432, 8080]),
        "network_transport": "tcp",
        "socket_id": 20_000 + number // 2,
        "network_namespace_id": 1,
        "source_payload_bytes": seed.randrange(20_000) if ended else 0,
        "destination_payload_bytes": seed.randrange(2_000_000) if ended else 0,
        "tcp_rtt": seed.randrange(200, 90_000) if ended else 0,
        "process_pid": 700 + seed.randrange(8) if inward else seed.randrange(1000, 30_000),
        "process_entity_id": 1 + seed.randrange(8) if inward else seed.getrandbits(64),
        "process_name": name,
        "process_executable": program,
        "process_command_line": "nginx: worker process" if inward else f"{name} --url {seed.randrange(100_000):05d}",
        "user_id": user[1],
        "user_name": user[0],
        "systemd_unit": "nginx.service" if inward else "cron.service",
        "attribution_method": "ebpf",
        "attribution_confidence": 100,
    }


def file(chance: random.Random, number: int, at: int) -> Row:
    """Of table `files`: uploads come and go, what is configured changes now and then."""
    upload = chance.random() < 0.8
    if upload:
        path = f"/srv/www/uploads/{chance.randrange(100_000):05d}.pdf"
        action, program, user = chance.choice(["created", "modified", "deleted"]), "/usr/bin/php", _USERS[1]
    else:
        path = f"/etc/{chance.choice(_PROGRAMS).rpartition('/')[2]}/{chance.randrange(40)}.conf"
        action, program, user = chance.choice(["modified", "attributes"]), chance.choice(_PROGRAMS), _USERS[0]
    name = program.rpartition("/")[2]
    return {
        "event_time": at,
        "event_action": action,
        "event_source": "fanotify",
        "file_path": path,
        "file_type": "file",
        "file_inode": chance.randrange(1 << 20),
        "file_size": chance.randrange(1 << 20),
        "file_mode": "0644",
        "file_previous_mode": "0644",
        "file_owner": user[0],
        "file_group": user[0],
        "file_hash_sha256": "" if action == "deleted" else f"{chance.getrandbits(256):064x}",
        "file_previous_hash_sha256": "" if action == "created" else f"{chance.getrandbits(256):064x}",
        "process_pid": chance.randrange(1000, 30_000),
        "process_entity_id": chance.getrandbits(64),
        "process_name": name,
        "process_executable": program,
        "process_command_line": f"{name} /srv/www/index.php" if upload else f"{name} {path}",
        "user_id": user[1],
        "user_name": user[0],
        "systemd_unit": "php8.2-fpm.service" if upload else "cron.service",
    }


def login(chance: random.Random, number: int, at: int) -> Row:
    """Of table `logins`: strangers in runs of some forty tries, a cron that never rests, now and then a person."""
    kind = random.Random(number // 40).random()
    if kind < 0.5:
        seed = random.Random(number // 40)
        address, text = _far_text(seed), chance.choice(_TRIED)
        port = chance.randrange(32_768, 61_000)
        return {
            "event_time": at, "event_action": "login", "event_outcome": "failure", "event_source": "journald",
            "process_name": "sshd", "process_pid": chance.randrange(1000, 30_000), "user_name": text,
            "source_ip": _address(address), "source_port": port, "authentication_method": "password",
            "process_tty": "ssh",
            "message": f"Failed password for invalid user {text} from {address} port {port} ssh2",
        }  # fmt: skip
    if kind < 0.9:
        command = f"/usr/bin/php /srv/www/cron.php --job {chance.randrange(5000):04d}"
        return {
            "event_time": at, "event_action": "cron", "event_outcome": "success", "event_source": "journald",
            "process_name": "CRON", "process_pid": chance.randrange(1000, 30_000), "user_name": "www-data",
            "process_command_line": command, "message": f"(www-data) CMD ({command})",
        }  # fmt: skip
    user, address = f"admin{chance.randrange(20)}", f"10.9.{chance.randrange(4)}.{chance.randrange(250)}"
    port, key = chance.randrange(32_768, 61_000), f"SHA256:{chance.randrange(30):043d}"
    return {
        "event_time": at, "event_action": "login", "event_outcome": "success", "event_source": "journald",
        "process_name": "sshd", "process_pid": chance.randrange(1000, 30_000), "user_name": user,
        "source_ip": _address(address), "source_port": port, "authentication_method": "publickey",
        "ssh_key_fingerprint": key, "session_id": str(number),
        "message": f"Accepted publickey for {user} from {address} port {port} ssh2: ED25519 {key}",
    }  # fmt: skip


_TRIED = ["admin", "root", "test", "oracle", "postgres", "ubuntu", "git", *(f"user{number}" for number in range(3000))]


def _far_text(chance: random.Random) -> str:
    """One of 300 that come again and again, or one of many."""
    number = chance.randrange(300) if chance.random() < 0.5 else chance.randrange(1 << 24)
    return f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _far(chance: random.Random) -> bytes:
    return _address(_far_text(chance))


def _address(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes(map(int, text.split(".")))


#: Who makes a row of a table: of a source of chance, the row's number, and its time in microseconds.
ROWS: Mapping[str, Callable[[random.Random, int, int], Row]] = {
    "processes": process,
    "sockets": socket,
    "files": file,
    "logins": login,
}
