from __future__ import annotations

from pathlib import Path

import pytest

from yoi_runtime.errors import OpenToAllError
from yoi_runtime.server.access import ServerAccess, is_loopback


@pytest.mark.parametrize(
    "host, answer",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example", False),
    ],
)
def test_a_loopback_address_is_told_from_others(host: str, answer: bool):
    assert is_loopback(host) is answer


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.7", "runtime.example"])
def test_an_address_that_others_reach_needs_a_token_or_a_word(host: str):
    with pytest.raises(OpenToAllError) as raised:
        ServerAccess().check_bind(host)
    assert raised.value.host == host
    assert "--token-file" in str(raised.value)
    ServerAccess(token_file=Path("tokens.json")).check_bind(host)
    ServerAccess(insecure_no_token=True).check_bind(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_neither(host: str):
    ServerAccess().check_bind(host)
