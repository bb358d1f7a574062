from __future__ import annotations

from pathlib import Path

from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime


def test_what_retention_does_not_keep_goes_and_the_books_have_counted_it(tmp_path: Path):
    options = RuntimeOptions(segment_bytes=4096, retain_segments=3)
    with Runtime.open(tmp_path, options) as runtime:
        worker = runtime.create_worker("a")
        for _ in range(60):
            worker.emit(TextDelta(text="x" * 600))
        kept = sorted(int(path.stem) for path in runtime.log_directory.glob("*.jsonl"))
        assert len(kept) <= 3
        assert kept[0] > 1
        runtime._log._rotation.rotate_out()
        assert sorted(int(path.stem) for path in runtime.log_directory.glob("*.jsonl")) == kept, "nothing more is due"
        gone = runtime._ledger.rotated_out
        assert gone.events == gone.last_seq > 0
