from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from yoi_runtime.errors import LogBrokenError, LogBusyError, LogError
from yoi_runtime.runtime.worker_end import (
    RETRY_FIRST_SECONDS,
    RETRY_LAST_SECONDS,
    end_or_warn,
    write_when_there_is_room,
)

BUSY = LogBusyError(Path("log"), 1, 0.0)
BROKEN = LogBrokenError(Path("log"), 0, 1, "no disk")


class Log:
    """Answers each write with the next of these; then takes it."""

    def __init__(self, *refusals: LogError | OSError) -> None:
        self.refusals = list(refusals)
        self.written = 0

    def write(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.written += 1


async def test_what_the_log_has_no_room_for_is_offered_again_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    log = Log(*[BUSY] * 10)
    await write_when_there_is_room(log.write)
    assert log.written == 1
    assert waited[0] == RETRY_FIRST_SECONDS
    assert waited[-1] == RETRY_LAST_SECONDS
    assert all(after == min(2 * before, RETRY_LAST_SECONDS) for before, after in itertools.pairwise(waited))


@pytest.mark.parametrize("error", [BROKEN, OSError("gone")], ids=lambda error: type(error).__name__)
async def test_what_will_not_succeed_later_is_raised(error: LogError | OSError) -> None:
    log = Log(BUSY, error)
    with pytest.raises(type(error)):
        await write_when_there_is_room(log.write)
    assert log.written == 0


@pytest.mark.parametrize("error", [BUSY, BROKEN, OSError("gone")], ids=lambda error: type(error).__name__)
def test_an_end_that_cannot_wait_is_tried_once_and_told(error: LogError | OSError, expect_log: ExpectLog) -> None:
    log = Log(error)
    expect_log("yoi_runtime.runtime", "the end of Worker a could not be written")
    end_or_warn("a", log.write)
    assert log.written == 0
    end_or_warn("a", log.write)
    assert log.written == 1


def test_what_is_no_fault_of_the_log_is_raised() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_or_warn("a", broken)
