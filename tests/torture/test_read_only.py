"""Reading changes nothing: it works as a user who may not write there, in the reader and in the server's view."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.codebase.tree import ROOT
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.runtime import Runtime

# Root may write anywhere: it becomes nobody, after the imports, for nobody may not read everything.
SCRIPT = """
# The interpreter itself may lie where the other user may not look: whatever comes late comes now.
import asyncio, concurrent.futures.thread, os, pathlib, sys
from tests.segment_log.sample_log import read_all
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.server.log_view import LogView

data_dir = pathlib.Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for name in ("new", "catalog.json", "log/COMMITTED"):
    try:
        (data_dir / name).open("ab")
    except PermissionError:
        continue
    sys.exit(f"{name} can be written to: this proves nothing")
reader = LogReader(data_dir / "log")
print(read_all(reader).seqs)

async def look():
    view = LogView(data_dir, data_dir / "log", REAL_PLATFORM)
    await view.start()
    print(sorted(view.ledger.workers), view.end.seq)
    await view.close()

asyncio.run(look())
"""


def test_a_log_is_read_in_a_directory_that_may_not_be_written_to():
    with tempfile.TemporaryDirectory(prefix="yoi-read-only-") as name:
        data_dir = Path(name) / "data"
        with Runtime.open(data_dir) as runtime, runtime.create_worker("a") as worker:
            worker.emit(TextDelta(text="hello"))
        everything = [Path(name), data_dir, *data_dir.rglob("*")]
        try:
            for path in everything:
                path.chmod(0o555 if path.is_dir() else 0o444)
            before = {path: path.stat() for path in everything}
            command = [sys.executable, "-c", SCRIPT, str(data_dir)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=50, check=True)
            assert done.stdout.splitlines() == ["[1, 2, 3, 4, 5, 6]", "['a'] 6"]
            assert sorted(everything) == sorted([Path(name), data_dir, *data_dir.rglob("*")])
            for path, was in before.items():
                assert (path.stat().st_mtime_ns, path.stat().st_size) == (was.st_mtime_ns, was.st_size), path
        finally:
            for path in everything:
                path.chmod(0o755)
