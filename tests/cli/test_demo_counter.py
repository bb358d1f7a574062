from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from yoi_runtime.cli.demo_counter import PROGRAM_FILE, count_lines


def test_it_counts_the_lines_of_the_larger_packages(tmp_path: Path):
    for name, files in (("large", 9), ("small", 7), ("not-a-package", 9)):
        (tmp_path / name).mkdir()
        for number in range(files):
            (tmp_path / name / f"{number}.py").write_text("1\n2\n")
    assert list(count_lines(tmp_path)) == ["large: 18 lines in 9 files"]


def test_as_a_program_it_finds_this_pythons_library():
    result = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM_FILE), "0"], capture_output=True, text=True, timeout=30, check=True
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("asyncio: ")
    assert 5 <= len(lines) <= 16
