"""The command: every bench runs, small, gives its figures and leaves nothing behind. Nothing here is timed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tools.bench import __main__ as command_line
from tools.bench.child import measure
from tools.bench.figures import Figure, Result
from tools.bench.registry import BENCHES, Bench
from tools.bench.setting import Setting


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", list(BENCHES))
def test_a_quick_run_gives_every_figure_and_leaves_nothing_behind(tmp_path: Path, name: str):
    ended = bench("--quick", "--json", "--no-install", "--directory", str(tmp_path), name)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["quick"] is True
    (result,) = answer["benches"]
    assert result["name"] == name
    assert result["method"]
    assert len(result["figures"]) >= 3
    for figure in result["figures"]:
        assert len(figure["values"]) == 1, figure
    assert any(figure["target"] for figure in result["figures"])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_told_to_end_deletes_its_logs(tmp_path: Path):
    command = [sys.executable, "-m", "tools.bench", "--quick", "--directory", str(tmp_path), "memory"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = next(line for line in running.stderr if "making a log" in line or "Error" in line)
        assert "making a log" in said
        assert len(list(tmp_path.iterdir())) == 1
        running.terminate()
    assert running.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have one bench, which takes no time, on a quiet machine; returns the document that is its."""

    def run(setting: Setting) -> Result:
        return Result("small", "How.", (Figure("it", "/s", (1.0,) * setting.rounds),))

    document = tmp_path / "performance.md"
    document.write_text("<!-- begin of small -->\n<!-- end of small -->\n")
    monkeypatch.setattr(command_line, "BENCHES", {"small": Bench("small", "takes no time", 3, run)})
    monkeypatch.setattr(command_line, "DOCUMENT", document)
    monkeypatch.setattr(command_line, "busy_share", lambda: 0.01)
    monkeypatch.setattr(command_line, "is_on_a_disk", lambda directory: True)
    return document


def test_figures_reach_the_document(small_bench: Path):
    assert command_line.main(["--write-docs", "--directory", str(small_bench.parent)]) == 0
    assert "| it | 1/s | 1 .. 1 |" in small_bench.read_text()
    assert "rounds: 3;" in small_bench.read_text()


def test_figures_of_a_busy_machine_do_not(
    small_bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = small_bench.read_text()
    monkeypatch.setattr(command_line, "busy_share", lambda: 0.5)
    assert command_line.main(["--write-docs", "--directory", str(small_bench.parent)]) == 1
    assert small_bench.read_text() == before
    said = capsys.readouterr()
    assert said.out == ""
    assert "50% of the processors" in said.err
    assert command_line.main(["--directory", str(small_bench.parent)]) == 0, "to look at, they are good enough"


def test_quick_figures_do_not_either(small_bench: Path, capsys: pytest.CaptureFixture[str]):
    before = small_bench.read_text()
    assert command_line.main(["--write-docs", "--quick"]) == 2
    assert small_bench.read_text() == before
    assert "--quick" in capsys.readouterr().err


def test_a_directory_in_memory_is_refused(
    small_bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(command_line, "is_on_a_disk", lambda directory: False)
    assert command_line.main(["--directory", str(small_bench.parent)]) == 2
    assert "in memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing"], "no bench is called 'nothing'; there are small"),
        (["--rounds", "0"], "at least 1"),
        (["--directory", "here"], "an absolute path"),
        (["--directory", "/no/such"], "a directory that exists"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    small_bench: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_measurement_that_fails_is_a_failure(
    small_bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def run(setting: Setting) -> Result:
        measure("append", "insert_rows", directory="/no/such", rows=1)
        raise AssertionError

    monkeypatch.setattr(command_line, "BENCHES", {"small": Bench("small", "fails", 3, run)})
    assert command_line.main(["--directory", str(small_bench.parent)]) == 1
    assert "/no/such" in capsys.readouterr().err
    assert [path.name for path in small_bench.parent.iterdir()] == [small_bench.name]
