from __future__ import annotations

import os
from pathlib import Path

import pytest
from yoi_log import helper_processes as module
from yoi_log.helper_processes import WORTH_BYTES, helper_processes
from yoi_log.log_place import find_log
from yoi_log.verification import verify_log

from tests.support.deadline import wait_until
from tests.transcript.projecting import project
from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import make_log


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 2)


def test_little_work_or_one_core_is_done_without(monkeypatch: pytest.MonkeyPatch, two_cores: None):
    with helper_processes(WORTH_BYTES - 1) as helpers:
        assert helpers is None
    monkeypatch.setattr(module, "_cores", lambda: 1)
    with helper_processes(WORTH_BYTES) as helpers:
        assert helpers is None


def test_they_find_what_one_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_cores: None):
    data = make_log(tmp_path / "data", events=300)
    project(data)
    path = segments_of(data)[3]
    path.write_bytes(path.read_bytes().replace(b"piece", b"p?ece", 2))
    alone = verify_log(find_log(data))
    assert [defect.kind for defect in alone.defects] == ["record_damaged"]
    monkeypatch.setattr(module, "WORTH_BYTES", 0)
    assert verify_log(find_log(data)) == alone


def test_one_that_is_killed_is_told_and_none_is_left(two_cores: None):
    children: list[int] = []

    def work() -> None:
        with helper_processes(WORTH_BYTES) as helpers:
            assert helpers is not None
            children.append(helpers.submit(os.getpid).result())
            helpers.submit(os._exit, 9).result()

    with pytest.raises(OSError, match="was killed"):
        work()
    assert children != [os.getpid()]
    wait_until(lambda: not Path(f"/proc/{children[0]}").exists())
