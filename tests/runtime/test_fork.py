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
