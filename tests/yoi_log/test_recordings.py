"""The sample recordings: small, whole, of no machine; and made again by their command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from yoi_log.log_place import find_log
from yoi_log.stats import Stats, measure_log

from tests.codebase.tree import ROOT
from tests.yoi_log.sample import RECORDINGS, yoi_log


def outline(stats: Stats) -> list[object]:
    """Return what of a recording does not depend on the moment it was made."""
    workers = sorted((one.worker_id, one.turns, one.tool_calls, one.retries, one.errors) for one in stats.workers)
    return [workers, stats.outcomes, stats.errors, sorted((tool.name, tool.errors) for tool in stats.tools)]


def measured(data: Path) -> Stats:
    return measure_log(find_log(data), progress=lambda _: None)


def test_they_are_small_sound_and_name_no_place_of_a_machine():
    files = [path for path in RECORDINGS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300 * 1024
    for data in RECORDINGS.iterdir():
        assert yoi_log("inspect", data).returncode == 0
    for path in files:
        assert re.findall(rb"/(?:tmp|home|root|usr|work|Users|var)/", path.read_bytes()) == [], path


def test_the_command_makes_them_again(tmp_path: Path):
    command = [sys.executable, "-m", "tools.recordings", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    made = {path.name: outline(measured(path)) for path in tmp_path.iterdir()}
    assert made == {path.name: outline(measured(path)) for path in RECORDINGS.iterdir()}
