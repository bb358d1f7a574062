"""A process that forks while its threads append: the child is told that the log is not its own, and never waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.codebase.tree import ROOT
from tests.event_log.written_events import check_numbers, envelopes_in

CHILDREN = 40
# In a process of its own: pytest's is not to be forked with threads.
SCRIPT = """
import collections, os, pathlib, signal, sys, threading, warnings
from yoi_runtime.errors import LogClosedError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.runtime import Runtime

warnings.simplefilter("ignore")
runtime = Runtime.open(pathlib.Path(sys.argv[1]))
workers = [runtime.create_worker(name) for name in ("a", "b")]
cursor = workers[0].emit(TextDelta(text="first"))
stop = threading.Event()

def append(worker):
    while not stop.is_set():
        worker.emit(TextDelta(text="x" * 2000))

threads = [threading.Thread(target=append, args=[worker]) for worker in workers]
for thread in threads:
    thread.start()

def child():
    signal.alarm(20)
    refused = 0
    newest = runtime._log._writer.end
    for call in (
        lambda: workers[0].emit(TextDelta(text="of the child")),
        lambda: runtime.create_worker("c"),
        lambda: runtime._log._writer.wait_synced(newest._replace(seq=newest.seq + 1, offset=newest.offset + 1)),
    ):
        try:
            call()
        except LogClosedError:
            refused += 1
    runtime.close()
    return 100 + refused

ends = collections.Counter()
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = child()
        finally:
            os._exit(status)
    ends[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])] += 1
stop.set()
for thread in threads:
    thread.join()
runtime.close()
print(dict(ends))
"""


def test_a_forked_child_is_refused_at_once_whatever_the_parents_threads_were_doing(tmp_path: Path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "data"), str(CHILDREN)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=50, check=True)
    assert done.stdout.strip() == f"{{103: {CHILDREN}}}"
    envelopes = envelopes_in(tmp_path / "data" / "log")
    check_numbers(envelopes)
    assert not [envelope for envelope in envelopes if envelope.worker_id == "c"]


# The child lives on when the parent has closed, and is told to end by the closing of a pipe.
CLOSING = """
import os, pathlib, sys, threading, warnings
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import Platform, RealFileOps

warnings.simplefilter("ignore")
reached, go = threading.Event(), threading.Event()

class HeldFiles(RealFileOps):
    def fdatasync(self, fd):
        if runtime is not None and runtime._log._writer.closed:
            reached.set()
            go.wait(30)
        super().fdatasync(fd)

runtime = None
opened = Runtime.open(pathlib.Path(sys.argv[1]), platform=Platform(files=HeldFiles()))
runtime = opened
closing = threading.Thread(target=runtime.close)
closing.start()
assert reached.wait(30)
end, keep = os.pipe()
there, say = os.pipe()
if os.fork() == 0:
    os.close(keep)
    os.write(say, b"x")
    os.read(end, 1)
    os._exit(0)
os.read(there, 1)
go.set()
closing.join()
Runtime.open(pathlib.Path(sys.argv[1])).close()
os.close(keep)
os.wait()
print("opened again")
"""


def test_a_child_that_was_forked_while_the_log_was_being_closed_does_not_hold_it(tmp_path: Path):
    command = [sys.executable, "-c", CLOSING, str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "opened again"
