from __future__ import annotations

from pathlib import Path

import pytest

from yoi_runtime.cli.door_argument import door_argument, read_door_argument
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.server.tls_files import TlsFiles

DOORS = [
    (ServerAccess(), Limits()),
    (
        ServerAccess(Path("/t.json"), False, ("a.example", "*"), TlsFiles(Path("/cert.pem"), Path("/key.pem"))),
        Limits(subscribers=5, subscribers_per_token=2, subscribers_per_worker=3, unfinished=4, header_seconds=1.5),
    ),
    (ServerAccess(insecure_no_token=True), Limits(reserve_descriptors=7, header_bytes=2048)),
]


@pytest.mark.parametrize("door", DOORS)
def test_what_is_written_is_read(door: tuple[ServerAccess, Limits]):
    assert read_door_argument(door_argument(*door)) == door


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"access":{},"limits":{}}'])
def test_anything_else_is_an_error(text: str):
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_door_argument(text)
