"""What the server does before there is a stream; the rest is in tests/integration/test_collector_delivery.py."""

import socket

import pytest
from luytre_collector.ingest.server import probe
from luytre_common.errors import UserError


def test_a_port_in_use_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"^{address}: Address already in use; .*ingest\.listen"):
            probe(address)
    probe(address)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(UserError, match="Cannot assign requested address"):
        probe("192.0.2.1:7071")


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(UserError, match=r"nowhere\.invalid:7071: "):
        probe("nowhere.invalid:7071")


def test_ipv6() -> None:
    probe("[::1]:0")
