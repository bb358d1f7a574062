"""tools/dev.py, the one entry: what it makes and when, what it passes on, what it says when it cannot.

Making the real environment takes a registry and twenty seconds; here venv, pip and uv are small stand-ins.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.deadline import wait_until
from tools import dev

PYPROJECT = """
[build-system]
requires = ["hatchling>=1"]
[project]
name = "yoi-runtime"
version = "1"
[dependency-groups]
test = ["pytest"]
lint = ["ruff"]
[tool.ruff]
line-length = 120
"""


class Tree:
    """A tree for dev.py to work in, and a diary of what it did there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.diary: list[str] = []
        self.fail: BaseException | None = None
        (root / "tools" / "bench").mkdir(parents=True)
        (root / "pyproject.toml").write_text(PYPROJECT)
        (root / "tools" / "requirements.lock").write_text("pytest==1 --hash=sha256:00\n")

    def make_venv(self, directory: Path) -> None:
        self.diary.append(f"venv {directory.name}")
        (directory / "bin").mkdir(parents=True, exist_ok=True)
        (directory / "bin" / "python").touch()

    def pip_install(self, environment: Path, *arguments: str) -> None:
        self.diary.append(f"pip {environment.name} {'--editable' if '--editable' in arguments else arguments[0]}")
        if self.fail is not None:
            raise self.fail

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    def take_diary(self) -> list[str]:
        diary, self.diary = self.diary, []
        return diary


MADE = ["venv .venv", "pip .venv --require-hashes", "pip .venv --editable"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(dev, "LOCK", tmp_path / "tools" / "requirements.lock")
    monkeypatch.setattr(dev, "LOWEST_LOCK", tmp_path / "tools" / "lowest.lock")
    monkeypatch.setattr(dev, "BENCH_LOCK", tmp_path / "tools" / "bench" / "requirements.lock")
    monkeypatch.setattr(dev, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(dev, "LOWEST_ENVIRONMENT", tmp_path / ".venv-lowest")
    monkeypatch.setattr(dev, "SET_UP_LOCK", tmp_path / ".venv.lock")
    monkeypatch.setattr(dev, "make_venv", tree.make_venv)
    monkeypatch.setattr(dev, "pip_install", tree.pip_install)
    return tree


# The environment


def test_the_first_run_makes_the_environment_and_says_so_once(tree: Tree, capsys: pytest.CaptureFixture[str]):
    assert dev.ready_environment() == tree.root / ".venv"
    assert tree.take_diary() == MADE
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "dev.py: first run: making .venv (about 20 s)\n")
    assert dev.ready_environment() == tree.root / ".venv"
    assert tree.take_diary() == []
    assert capsys.readouterr().err == ""


def test_a_changed_lock_makes_it_anew(tree: Tree):
    dev.ready_environment()
    tree.edit("tools/requirements.lock", "==1", "==2")
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == MADE


def test_the_lowest_versions_have_an_environment_of_their_own(tree: Tree, capsys: pytest.CaptureFixture[str]):
    dev.ready_environment()
    dev.LOWEST_LOCK.write_text("pytest==0 --hash=sha256:00\n")
    tree.take_diary()
    capsys.readouterr()
    assert dev.ready_environment(dev.LOWEST_ENVIRONMENT, dev.LOWEST_LOCK) == tree.root / ".venv-lowest"
    assert tree.take_diary() == [step.replace(".venv", ".venv-lowest") for step in MADE]
    assert dev.ready_environment() == tree.root / ".venv"
    assert tree.take_diary() == []


def test_changed_metadata_installs_the_project_again_and_nothing_else(tree: Tree):
    dev.ready_environment()
    tree.edit("pyproject.toml", 'version = "1"', 'version = "2"')
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == ["pip .venv --editable"]
    dev.ready_environment()
    assert tree.take_diary() == []


def test_a_changed_lint_rule_installs_nothing(tree: Tree):
    dev.ready_environment()
    tree.edit("pyproject.toml", "line-length = 120", "line-length = 100")
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == []


@pytest.mark.parametrize("failure", [dev.SetUpError("pip failed"), KeyboardInterrupt()], ids=["failed", "interrupted"])
def test_a_set_up_that_did_not_end_is_begun_anew(tree: Tree, failure: BaseException):
    tree.fail = failure
    with pytest.raises(type(failure)):
        dev.ready_environment()
    tree.fail = None
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == MADE


def test_an_update_that_did_not_end_is_begun_anew(tree: Tree):
    dev.ready_environment()
    tree.edit("pyproject.toml", 'version = "1"', 'version = "2"')
    tree.fail = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        dev.ready_environment()
    tree.fail = None
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == MADE


def test_an_environment_whose_python_is_gone_is_made_anew(tree: Tree):
    dev.ready_environment()
    (tree.root / ".venv" / "bin" / "python").unlink()
    tree.take_diary()
    dev.ready_environment()
    assert tree.take_diary() == MADE


def test_an_environment_that_was_moved_with_its_tree_is_made_anew(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    dev.ready_environment()
    moved = (tree.root / ".venv").rename(tree.root / "moved")
    monkeypatch.setattr(dev, "ENVIRONMENT", moved)
    tree.take_diary()
    assert dev.ready_environment() == moved
    assert tree.take_diary() == [row.replace(".venv", "moved") for row in MADE]


def test_the_environment_of_another_python_is_left_to_it(tree: Tree):
    dev.ready_environment()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    tree.edit(".venv/.ready", here, "3.99")
    tree.take_diary()
    second = tree.root / f".venv-{here}"
    assert dev.ready_environment() == second
    assert tree.take_diary() == [row.replace(".venv", second.name) for row in MADE]
    assert dev.ready_environment() == second
    assert tree.take_diary() == []


def test_a_second_process_waits_for_the_first_and_uses_its_work(tree: Tree, capsys: pytest.CaptureFixture[str]):
    answers: list[Path] = []
    second = threading.Thread(target=lambda: answers.append(dev.ready_environment()))
    with dev.set_up_lock():
        second.start()
        wait_until(lambda: "waiting for it" in capsys.readouterr().err)
        dev.make_environment(dev.ENVIRONMENT, dev.LOCK, None, dev.Stamp.wanted(dev.ENVIRONMENT, dev.LOCK))
        assert not answers
    second.join(timeout=30)
    assert answers == [tree.root / ".venv"]
    assert tree.take_diary() == MADE


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
        status = dev.main(["test"])
    assert status == 1
    assert "needs Python 3.11 or later" in capsys.readouterr().err


def test_a_tree_without_a_lock_is_reported_in_a_sentence(tree: Tree, capsys: pytest.CaptureFixture[str]):
    dev.LOCK.unlink()
    assert dev.main(["test"]) == 1
    assert "requirements.lock" in capsys.readouterr().err


def test_a_python_without_venv_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name))
    assert dev.main(["serve"]) == 1
    said = capsys.readouterr().err
    assert "python3-venv is missing" in said
    assert "apt install python3-venv" in said
    assert said.count("\n") == 1


# Commands


@pytest.fixture
def replaced(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where the program that takes this process over is written down, below the tree."""
    found: list[str] = []

    def execv(program: Path, arguments: list[str]) -> None:
        assert arguments[0] == str(program)
        found.extend([str(program.relative_to(tree.root)), *arguments[1:]])

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.chdir(tree.root)
    return found


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["test", "-k", "a b", "--help"], [".venv/bin/python", "-m", "pytest", "-k", "a b", "--help"]),
        (
            ["torture", "power", "--seconds", "9"],
            [".venv/bin/python", "-m", "tests.torture", "power", "--seconds", "9"],
        ),
        (["bench", "append", "--quick"], [".venv/bin/python", "-m", "tools.bench", "append", "--quick"]),
        (["demo"], [".venv/bin/yoi-runtime", "demo"]),
        (["serve", "--port", "0", "--help"], [".venv/bin/yoi-runtime", "serve", "--port", "0", "--help"]),
        (["--version"], [".venv/bin/yoi-runtime", "--version"]),
        (["help"], [".venv/bin/yoi-runtime", "--help"]),
    ],
)
def test_every_argument_reaches_the_program(replaced: list[str], arguments: list[str], program: list[str]):
    dev.main(arguments)
    assert replaced == program


@pytest.mark.parametrize(("cores", "processes"), [(1, "2"), (2, "3"), (8, "12")])
def test_without_arguments_the_tests_keep_all_cores_busy(
    replaced: list[str], monkeypatch: pytest.MonkeyPatch, cores: int, processes: str
):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    dev.main(["test"])
    assert replaced == [".venv/bin/python", "-m", "pytest", "-n", processes, "--dist", "worksteal"]


def test_tests_run_at_the_top_of_the_tree_and_commands_where_the_person_is(
    tree: Tree, replaced: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tree.root / "tools")
    dev.main(["serve"])
    assert Path.cwd() == tree.root / "tools"
    dev.main(["test"])
    assert Path.cwd() == tree.root


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert dev.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("demo", "serve", "test", "lint", "torture", "recordings", "bench", "lock"):
        assert f"\n    {command} " in text


def test_no_command_is_a_mistake_and_shows_the_help(capsys: pytest.CaptureFixture[str]):
    assert dev.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "tools/dev.py COMMAND" in said.err


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def linters(tree: Tree) -> Callable[[str], None]:
    """Return a function that makes one linter fail; all of them write their arguments to a file."""
    dev.ready_environment()
    programs = tree.root / ".venv" / "bin"

    def make(name: str, status: int) -> None:
        script(programs / name, f'echo {name} "$@" >> linted; exit {status}')

    for name in ("ruff", "mypy", "lint-imports"):
        make(name, 0)
    return lambda name: make(name, 3)


def test_lint_runs_every_linter_after_one_failed(
    tree: Tree, linters: Callable[[str], None], capfd: pytest.CaptureFixture[str]
):
    linters("mypy")
    assert dev.main(["lint"]) == 1
    assert (tree.root / "linted").read_text().splitlines() == [
        "ruff check",
        "ruff format --check",
        "mypy",
        "lint-imports --no-logo",
    ]
    assert capfd.readouterr().out.splitlines()[-1] == "--- lint: failed: mypy"


def test_lint_passes_when_every_linter_does(linters: Callable[[str], None], capfd: pytest.CaptureFixture[str]):
    assert dev.main(["lint"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "--- lint: all passed"


def test_lint_mends_what_it_can_when_asked(tree: Tree, linters: Callable[[str], None]):
    assert dev.main(["lint", "--fix"]) == 0
    assert (tree.root / "linted").read_text().splitlines()[:2] == ["ruff check --fix", "ruff format"]
    assert dev.main(["lint", "--fi"]) == 2


@pytest.fixture
def uv(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that says what uv appends to the lock it is given."""
    answer: list[str] = []

    def pip_install(environment: Path, *arguments: str) -> None:
        script(
            environment / "bin" / "uv",
            f'echo "$@ find-links=$UV_FIND_LINKS" >> "{tree.root}/uv"; '
            'while [ "$1" != --output-file ]; do shift; done; '
            f"printf '%s\\n' '{answer[-1]}' >> \"$2\"",
        )

    monkeypatch.setattr(dev, "pip_install", pip_install)
    return answer.append


def test_lock_starts_from_the_lock_there_is_and_passes_arguments_on(
    tree: Tree, uv: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UV_FIND_LINKS", "here")
    uv("ruff==1 --hash=sha256:00")
    assert dev.main(["lock", "--upgrade"]) == 0
    assert dev.LOCK.read_text() == "pytest==1 --hash=sha256:00\nruff==1 --hash=sha256:00\n"
    assert dev.LOWEST_LOCK.read_text() == dev.BENCH_LOCK.read_text() == "ruff==1 --hash=sha256:00\n"
    called, called_for_the_lowest, called_for_the_benches = (tree.root / "uv").read_text().splitlines()
    assert "pyproject.toml" in called
    assert "--all-extras --group=lint --group=test --universal --generate-hashes" in called
    assert "--all-extras --group=test --resolution=lowest-direct" in called_for_the_lowest
    assert "bench/requirements.in --universal --generate-hashes" in called_for_the_benches
    assert called.endswith(" --upgrade find-links=")
    assert called_for_the_benches.endswith(" --upgrade find-links=")


def test_a_lock_with_an_address_is_refused(uv: Callable[[str], None], capsys: pytest.CaptureFixture[str]):
    uv("ruff @ file:///wheels/ruff.whl")
    before = dev.LOCK.read_text()
    assert dev.main(["lock"]) == 1
    assert "would name an address" in capsys.readouterr().err
    assert dev.LOCK.read_text() == before
    assert not dev.LOWEST_LOCK.exists()
    assert not dev.BENCH_LOCK.exists()


def test_it_needs_nothing_but_the_standard_library():
    program = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sorted(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", program, dev.__file__]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names <= {"__main__"}
