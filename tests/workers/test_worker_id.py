from __future__ import annotations

import pytest

from yoi_runtime.errors import WorkerIdInvalidError
from yoi_runtime.workers.worker_id import check_worker_id


@pytest.mark.parametrize("text", ["a", "Z", "0", "_", "-", "agent-7_B", "x" * 64])
def test_a_worker_id_is_returned_as_it_is(text: str) -> None:
    assert check_worker_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "x" * 65, "a b", "a\n", "\na", "a/b", "..", "a.b", "é", "١", "ａ", "a\0", "a\u2028"],
    ids=ascii,
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(WorkerIdInvalidError) as caught:
        check_worker_id(text)
    assert caught.value.worker_id == text[:64]
