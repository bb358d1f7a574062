from __future__ import annotations

from pathlib import Path

import pytest

from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.server.tls_files import TlsFiles

PLAIN = ServerOrders(
    Path("/d"), Address("::1", 1), (), 1, 1, False, ServerAccess(), Limits(), LogFormat.TEXT, "warning"
)
FULL = ServerOrders(
    data_dir=Path("/data dir"),
    bind=Address("0.0.0.0", 38800),
    listening=(3, 4),
    number=7,
    cache_bytes=1 << 26,
    transcripts=True,
    access=ServerAccess(Path("/t.json"), True, ("a.example", "*"), TlsFiles(Path("/cert.pem"), Path("/key.pem"))),
    limits=Limits(5, 2, 3, 4, 1.5, 2048, 6, 8192, 9),
    log_format=LogFormat.JSON,
    log_level="debug",
    metrics_directory=Path("/m"),
)


@pytest.mark.parametrize("orders", [PLAIN, FULL])
def test_what_is_written_is_read(orders: ServerOrders):
    assert ServerOrders.read(orders.argument()) == orders


@pytest.mark.parametrize("text", ["", "{}", "[]", PLAIN.argument().replace('"number":1', '"number":"one"')])
def test_anything_else_is_an_error(text: str):
    with pytest.raises(ValueError, match="ServerOrders"):
        ServerOrders.read(text)
