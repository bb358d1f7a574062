from __future__ import annotations

import subprocess
import sys

import pytest

from yoi_runtime.cli.extras import load_event_server


def test_the_server_is_loaded():
    assert load_event_server().__name__ == "EventServer"


@pytest.mark.parametrize(
    ("missing", "error"),
    [("tornado.web", "MissingExtraError ws-server"), ("yoi_runtime.server", "ModuleNotFoundError")],
)
def test_only_a_missing_tornado_is_a_missing_extra(missing: str, error: str):
    """In an interpreter of its own: modules that are taken away here would be other ones when they come back."""
    program = """
import sys
from yoi_runtime.cli.extras import load_event_server
sys.modules[sys.argv[1]] = None
try:
    load_event_server()
except Exception as error:
    print(type(error).__name__, *filter(None, [getattr(error, "extra", None)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, missing], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == error
