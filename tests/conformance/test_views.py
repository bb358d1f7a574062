from __future__ import annotations

import pytest

from yoi_runtime.conformance.views import view


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/v1/runtime", 200),
        ("/v1/workers", 200),
        ("/v1/workers/w", 200),
        ("/v1/workers/w/transcript", 404),
        ("/", 404),
    ],
)
def test_a_client_that_looks_around_first_gets_an_answer(path: str, status: int):
    assert view(path)[0] == status


def test_any_worker_exists():
    assert view("/v1/workers/abc")[1] == {"worker": {"worker_id": "abc", "status": "running", "worker_seq": 0}}
