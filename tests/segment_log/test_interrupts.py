"""Ctrl-C in the middle of an append, a roll or a commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.failing_files import METHODS, FailingFiles
from tests.faults.memory_files import MemoryFiles
from tests.segment_log.sample_log import (
    append_many,
    body,
    open_log,
    platform_of,
    read_all,
)
from yoi_runtime.errors import (
    LogBrokenError,
)
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.platform import FileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.sealed import SealedSegment, SealedSegments
from yoi_runtime.segment_log.writer import Appended


class InterruptedFiles(FailingFiles):
    """Raises KeyboardInterrupt just before or just after the call that is ``interrupt_in`` calls away; 0: never."""

    def __init__(self, inner: FileOps, *, after: bool) -> None:
        super().__init__(inner)
        self.interrupt_in, self._after = 0, after
        for name in METHODS:
            setattr(self, name, self._interrupting(getattr(self, name)))

    def _interrupting(self, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            self.interrupt_in -= 1
            if self.interrupt_in == 0 and not self._after:
                raise KeyboardInterrupt
            answer = method(*args)
            if self.interrupt_in == 0:
                raise KeyboardInterrupt
            return answer

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_what_ctrl_c_leaves_half_done_is_taken_back(after: bool, exercised):
    home, at, broken = Path("/log"), 0, 0
    while True:
        at += 1
        memory = MemoryFiles()
        files = InterruptedFiles(memory, after=after)
        open_log(home, platform_of(files)).close()
        log = open_log(home, platform_of(files, seed=2))
        files.interrupt_in = at
        accepted: list[Appended] = []
        while len(accepted) < 24:
            try:
                accepted.append(log.append(body("accepted", 100)))
                if len(accepted) % 7 == 0:
                    log.roll()
            except KeyboardInterrupt:
                try:
                    log.mend()
                except LogBrokenError:
                    broken += 1
                    with pytest.raises(LogBrokenError):
                        log.close()
                    log = open_log(home, platform_of(files, seed=3))
        interrupted, files.interrupt_in = files.interrupt_in <= 0, 0
        log.sync()
        log.mend()
        log.close()
        reader = LogReader(home, platform_of(memory))
        found = read_all(reader)
        assert found.gaps == []
        assert found.seqs == list(range(1, log.end.seq + 1))
        tokens = [line[38:101] for line in found.lines]
        assert {place.token for place in accepted} <= set(tokens), f"call {at}"
        assert len(set(tokens)) == len(tokens) <= 25, "at most the one that was interrupted comes on top"
        for place in accepted:
            assert reader.resolve(decode_token(place.token.decode())) == place.position
        if not interrupted:
            break
    exercised("calls interrupted", at - 1)
    assert at > 60
    assert broken


def test_a_watermark_that_ctrl_c_had_written_twice_is_seen_by_readers():
    home, memory = Path("/log"), MemoryFiles()
    files = InterruptedFiles(memory, after=True)
    log = open_log(home, platform_of(files))
    reader = LogReader(home, platform_of(memory))
    log.append(body("first"))
    files.interrupt_in = 2  # the sync, the slot
    with pytest.raises(KeyboardInterrupt):
        log.commit_once()
    assert reader.refresh()
    assert read_all(reader).seqs == [1]
    append_many(log, 2)
    assert reader.refresh()
    assert read_all(reader).seqs == [1, 2, 3]
    log.close()


def test_a_roll_that_ctrl_c_ends_once_the_segment_is_listed_ends_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else the active segment would stand among the sealed ones, for retention to delete."""
    log = open_log(tmp_path / "log", platform_of())
    append_many(log, 3)
    listed = SealedSegments.append

    def interrupted(segments: SealedSegments, segment: SealedSegment) -> None:
        listed(segments, segment)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SealedSegments, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.roll()
    for call in (lambda: log.append(body("x")), log.mend, lambda: log.rotate_out(1), log.close):
        with pytest.raises(LogBrokenError):
            call()
    log = open_log(tmp_path / "log", platform_of(seed=2))
    assert append_many(log, 1)[0].position.seq == 4
    log.close()
