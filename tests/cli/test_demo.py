"""``yoi-runtime demo``: as a process at a quicker pace, and the judge of what it received."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, environment, start_program
from yoi_runtime.cli.demo import Received, free_port
from yoi_runtime.client.stream_event import StreamEvent, event_of_frame
from yoi_runtime.protocol.frames import EventFrame

# At any free port: tests that run beside each other would take the usual one from each other.
QUICK = "import asyncio, sys; from yoi_runtime.cli.demo import demo; sys.exit(asyncio.run(demo(float(sys.argv[1]), 0)))"


def event(seq: int | None, name: str = "shutdown", **data: object) -> StreamEvent:
    payload: dict[str, object] = {"event": name, "data": data}
    return event_of_frame(EventFrame(raw=b"{}", cursor=f"c{seq}", event_id=f"e{seq}", seq=seq, payload=payload))


def quick_demo(directory: Path, pace: float, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", QUICK, str(pace)],
        cwd=directory,
        env=environment(TMPDIR=str(directory), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_it_shows_two_workers_a_lost_connection_and_nothing_missing(tmp_path: Path):
    result = quick_demo(tmp_path, 0.3)
    assert (result.returncode, result.stderr) == (0, "")
    shown = result.stdout
    assert "\x1b" not in shown
    assert re.search(r"agent +I am", shown)
    assert re.search(r"counter +asyncio: \d+ lines in \d+ files", shown)
    away = shown.index("The client lost its connection after seq ")
    back = shown.index("The client is connected again and resumes after seq ")
    assert away < back < shown.index(" events written meanwhile. Live again:")
    total = re.search(r"── (\d+) events over 2 connections, seq 1 to \1: none missing, none twice\.", shown)
    assert total is not None
    assert int(total[1]) > 80
    assert " text_delta, " in shown
    assert re.search(r"serve --worker .*tail --from oldest.*--help", shown, re.DOTALL)
    # Its directory is gone.
    assert list(tmp_path.iterdir()) == []


def test_the_first_event_comes_at_once_and_ctrl_c_ends_it(tmp_path: Path):
    with start_program(tmp_path, "demo", TMPDIR=str(tmp_path)) as program:
        assert "Runtime started" in program.wait_for_stdout("Worker agent started")
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        assert program.stderr == ""
    assert not list(tmp_path.glob("yoi-demo-*"))


def test_a_port_in_use_is_no_obstacle():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        other = free_port("127.0.0.1", wanted)
        assert other not in (0, wanted)
    assert free_port("127.0.0.1", wanted) == wanted


@pytest.mark.parametrize("seqs", [[], [2, 3], [1, 3], [1, 2, 2], [2, 1], [1, None]])
def test_what_is_not_every_event_once_and_in_order_is_not_whole(seqs: list[int | None]):
    received = Received()
    for seq in seqs:
        received.add(event(seq))
    assert not received.is_whole


def test_what_is_whole_is_whole():
    received = Received()
    for seq in (1, 2, 3):
        received.add(event(seq))
    assert received.is_whole
    assert received.last_seq == 3
    assert received.names == {"shutdown": 3}


def test_the_ends_of_workers_are_noticed():
    received = Received()
    received.add(event(1, "worker_ended", worker_id="agent", outcome="completed"))
    received.add(event(2, "worker_started", worker_id="counter", run=1))
    assert received.ended == {"agent"}


def test_it_fails_when_the_deadline_passes(tmp_path: Path):
    code = f"import yoi_runtime.cli.demo as d; d._DEADLINE_SECONDS = 1.0\n{QUICK}"
    result = subprocess.run(
        [sys.executable, "-c", code, "5"],
        env={**environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "yoi-runtime: the demo did not come to its end within 1 s\n"
    assert list(tmp_path.iterdir()) == []
