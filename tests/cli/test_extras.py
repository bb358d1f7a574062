from __future__ import annotations

import sys

import pytest

from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.errors import MissingExtraError


def test_the_server_is_loaded():
    assert load_event_server().__name__ == "EventServer"


@pytest.mark.parametrize(
    ("missing", "error"), [("tornado.web", MissingExtraError), ("yoi_runtime.server", ImportError)]
)
def test_only_a_missing_tornado_is_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch, missing: str, error: type[Exception]
):
    for name in [name for name in sys.modules if name.startswith("yoi_runtime.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(error) as caught:
        load_event_server()
    if isinstance(caught.value, MissingExtraError):
        assert caught.value.extra == "ws-server"
