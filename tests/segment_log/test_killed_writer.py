"""A real writer process is killed again and again; whatever it said it had accepted is there, once and whole."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from random import Random

from tests.segment_log.sample_log import body, platform_of, read_all
from yoi_runtime.errors import CursorExpiredError
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

ROOT = Path(__file__).parents[2]
KILLS = 20


def run_and_kill(directory: Path, seed: int, lines: int) -> list[str]:
    """Kill a writer after it has said ``lines`` lines; return all that it had said by then."""
    command = [sys.executable, "-m", "tests.segment_log.writer_process", str(directory), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    # From the same buffer that readline filled: communicate() reads the pipe behind its back, and lines would be lost.
    rest = process.stdout.read()
    process.stdout.close()
    process.wait(timeout=30)
    return b"".join([*said, rest]).decode().splitlines()


def test_what_a_killed_writer_had_accepted_is_there_every_time(tmp_path: Path, exercised):
    directory, rng = tmp_path / "log", Random(11)
    accepted: dict[int, tuple[str, str]] = {}
    ours: set[int] = set()
    unclean = 0
    for seed in range(KILLS):
        # The first of them while it opens the log, before or after its first append.
        lines = (1, 1, 2, 3)[seed] if seed < 4 else rng.randrange(1, 250)
        for line in run_and_kill(directory, seed, lines):
            if line[0] != "o":
                seq, token, digest = line.split()
                assert int(seq) not in accepted, "a number was given twice"
                accepted[int(seq)] = (token, digest)
        if seed % 2:
            # Every other time the next writer recovers; here it is this process.
            log = LogWriter(directory, LogOptions(), platform_of(seed=1000 + seed))
            unclean += log.recovery is not None
            place = log.append(body("ours"))
            ours.add(place.position.seq)
            log.close()
            check(directory, accepted, ours)
    exercised("kills", KILLS)
    exercised("records accepted by killed writers", len(accepted))
    assert unclean > KILLS / 4
    assert len(accepted) > 500


def check(directory: Path, accepted: dict[int, tuple[str, str]], ours: set[int]) -> None:
    reader = LogReader(directory, platform_of())
    floor = reader.floor().seq
    found = read_all(reader, max_bytes=1 << 16)
    assert found.gaps == []
    frames = {frame["seq"]: frame for frame in (json.loads(line)["envelope"] for line in found.lines)}
    assert list(frames) == list(range(floor + 1, reader.end.seq + 1))
    for seq, (token, digest) in accepted.items():
        if seq > floor:
            frame = frames.pop(seq)
            assert frame["cursor"] == token
            assert hashlib.sha256(frame["text"].encode()).hexdigest() == digest
            assert reader.resolve(decode_token(token)).seq == seq
        elif seq < floor:
            try:
                reader.resolve(decode_token(token))
            except CursorExpiredError:
                continue
            raise AssertionError(f"seq {seq} was rotated out, and its cursor is still good")
    # What else there is: ours, and at most one record a kill that was written and not yet spoken of.
    assert {seq for seq in ours if seq > floor} <= frames.keys()
    assert len(frames.keys() - ours) <= KILLS
    reader.close()
