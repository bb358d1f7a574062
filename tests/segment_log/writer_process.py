"""A writer for tests to kill: appends as fast as it can and says on standard output what was accepted.

    python -m tests.segment_log.writer_process DIRECTORY SEED

A line ``opening``, then ``open``, then one line per append: its seq, its token and the sha256 of its text.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from random import Random

from tests.segment_log.sample_log import body
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

KEEP_SEGMENTS = 30


def main(directory: Path, seed: int) -> None:
    rng = Random(seed)
    say("opening")
    log = LogWriter(directory, LogOptions(segment_bytes=rng.choice((4096, 20_000))), REAL_PLATFORM)
    say("open")
    while True:
        text = f"{seed}-{rng.getrandbits(64):x}"
        appended = log.append(body(text, rng.choice((0, 50, 500, 3000))))
        # One write: a kill leaves a whole line or none.
        say(f"{appended.position.seq} {appended.token.decode()} {hashlib.sha256(text.encode()).hexdigest()}")
        if len(log.sealed) > KEEP_SEGMENTS:
            log.rotate_out(10)
        if rng.random() < 0.05:
            log.wait_synced(appended.position)


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
