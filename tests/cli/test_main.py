"""``python -m yoi_runtime`` with and without what the extras bring, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.real_program import DEADLINE_SECONDS, environment

# Runs the program where the named libraries cannot be imported.
WITHOUT = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Absent())
from yoi_runtime.__main__ import main
sys.exit(main())
"""


def run_without(libraries: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.replace("{libraries}", repr(libraries.split(",")))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("libraries", ["typer", "rich", "typer,rich,tornado"])
@pytest.mark.parametrize("arguments", [[], ["--help"], ["serve"]])
def test_without_its_libraries_it_names_the_extra_in_one_sentence(tmp_path: Path, libraries: str, arguments: list[str]):
    result = run_without(libraries, tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == ("yoi-runtime: the command line needs the extra 'cli': pip install 'yoi-runtime[cli]'\n")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["serve", "--data-dir", "data", "--bind", ":0"], "ws-server"),
        (["serve", "--data-dir", "data", "--bind", ":0", "--read-only"], "ws-server"),
        (["run", "--data-dir", "data", "--bind", ":0", "--", "touch", "ran"], "ws-server"),
        (["tail", "127.0.0.1:1"], "ws-client"),
        (["demo"], "ws-server"),
    ],
)
def test_without_tornado_a_command_names_the_extra_and_does_nothing(tmp_path: Path, arguments: list[str], extra: str):
    result = run_without("tornado", tmp_path, *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("yoi-runtime: ")
    assert result.stderr.endswith(f" needs the extra '{extra}': pip install 'yoi-runtime[{extra}]'\n")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_tornado_help_works(tmp_path: Path):
    result = run_without("tornado", tmp_path, "serve", "--help")
    assert result.returncode == 0
    assert "--bind" in result.stdout


def test_another_module_that_is_missing_keeps_its_traceback(tmp_path: Path):
    result = run_without("logging", tmp_path, "--help")
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr
    assert "extra" not in result.stderr


# What each command has no use for, and must not keep its caller waiting for.
WITHOUT_A_SERVER = ("prometheus_client", "yoi_runtime.server.event_server", "yoi_runtime.runtime.runtime")
WITHOUT_EVENTS = (*WITHOUT_A_SERVER, "tornado", "rich.console", "yoi_runtime.events", "yoi_runtime.protocol.frames")


@pytest.mark.parametrize(
    ("arguments", "status", "unused"),
    [
        (["--version"], 0, WITHOUT_EVENTS),
        (["serve", "--help"], 0, WITHOUT_EVENTS),
        (["emit", "--worker", "a", "--data-dir", "data", "--reconnect", "0.1s"], 6, (*WITHOUT_A_SERVER, "tornado")),
        (["tail", "127.0.0.1:1", "--cursor", "no cursor"], 1, WITHOUT_A_SERVER),
    ],
)
def test_a_command_imports_what_it_needs_alone(
    tmp_path: Path, arguments: list[str], status: int, unused: tuple[str, ...]
):
    program = f"""
import sys
from yoi_runtime.__main__ import main
status = main()
print("imported:", *sorted(set({unused!r}) & sys.modules.keys()))
sys.exit(status)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (result.returncode, result.stdout.splitlines()[-1]) == (status, "imported:"), result.stderr
