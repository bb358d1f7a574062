"""The command line of the suites."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import partial

import pytest

from tests.torture import __main__ as command
from tests.torture.report import Budget, Report
from tests.torture.suites import SUITES


@pytest.fixture(autouse=True)
def logger() -> Iterator[None]:
    """Give the engine its voice back: the command silences it."""
    engine = logging.getLogger("yoi_runtime")
    handlers, propagate = list(engine.handlers), engine.propagate
    yield
    engine.handlers, engine.propagate = handlers, propagate


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, float | None]]:
    """Return which suites ran, with seed and seconds; ``errors`` finds something, the others do not."""
    found: list[tuple[str, int, float | None]] = []

    def suite(name: str, seed: int, budget: Budget) -> Report:
        found.append((name, seed, budget.seconds))
        assert name != "errors", "something is wrong"
        report = Report(name, seed, budget)
        report.count("parts")
        return report

    for name in SUITES:
        monkeypatch.setitem(SUITES, name, partial(suite, name))
    return found


def test_a_suite_runs_with_the_seed_and_for_the_time_it_is_told(ran, capsys: pytest.CaptureFixture[str]):
    assert command.main(["power", "--seconds", "7", "--seed", "5", "--jobs", "1"]) == 0
    assert ran == [("power", 5, 7.0)]
    assert capsys.readouterr().out.splitlines() == [
        "--- torture power --seconds 7 --seed 5 --jobs 1",
        "power: seed 5, 7 s, took 0.0 s, 0.0 s of the processor",
        "           1  parts",
        "--- torture: nothing found, seed 5",
    ]


def test_all_suites_run_also_after_one_found_something(ran, capsys: pytest.CaptureFixture[str]):
    assert command.main(["--small", "--seed", "5", "--jobs", "1"]) == 1
    assert [name for name, _, _ in ran] == list(SUITES)
    assert {(seed, seconds) for _, seed, seconds in ran} == {(5, None)}
    out = capsys.readouterr().out
    assert "AssertionError: something is wrong" in out
    assert out.splitlines()[-1] == "--- torture: failed: errors, seed 5"


def test_a_seed_that_was_drawn_is_shown(ran, capsys: pytest.CaptureFixture[str]):
    assert command.main(["fuzz", "--jobs", "1"]) == 0
    seed = ran[0][1]
    assert f"--- torture fuzz --seconds 300 --seed {seed} --jobs 1" in capsys.readouterr().out


def test_a_run_that_exercised_too_little_has_failed(monkeypatch, capsys: pytest.CaptureFixture[str]):
    def lazy(seed: int, budget: Budget) -> Report:
        report = Report("power", seed, budget)
        report.require("states", 2)
        return report

    monkeypatch.setitem(SUITES, "power", lazy)
    assert command.main(["power", "--small", "--jobs", "1", "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert "power, seed 3, exercised too little" in out
    assert out.splitlines()[-1] == "--- torture: failed: power, seed 3"


def test_processes_share_a_run(capsys: pytest.CaptureFixture[str]):
    """Really in two processes: each takes its share, and what is due is due by both together."""
    # In so little time not every kind of file comes up: whether that is enough is not what this is about.
    command.main(["fuzz", "--seconds", "0.01", "--seed", "5", "--jobs", "2"])
    out = capsys.readouterr().out
    assert "fuzz: seed 5, 0.01 s in 2 processes" in out
    done = re.search(r"([0-9,]+)  files that hold something else  \(at least 1\)", out)
    assert done is not None
    assert int(done[1].replace(",", "")) >= 2


def test_what_cannot_be_shared_runs_beside_the_rest_and_is_told_of_last(capsys: pytest.CaptureFixture[str]):
    command.main(["processes", "fuzz", "--seconds", "0.01", "--seed", "5", "--jobs", "2"])
    lines = capsys.readouterr().out.splitlines()
    titles = [line for line in lines if line.startswith("--- torture ")]
    assert titles == [
        "--- torture fuzz --seconds 0.01 --seed 5 --jobs 2",
        "--- torture processes --seconds 0.01 --seed 5 --jobs 1",
    ]
    assert re.search(r"[1-9][0-9]*  writers killed  \(at least 1\)", "\n".join(lines[lines.index(titles[1]) :]))


@pytest.mark.parametrize("arguments", [["nothing"], ["power", "--seconds", "0"], ["--seconds", "x"], ["--jobs", "0"]])
def test_a_mistake_is_told(ran, arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert not ran
    assert "usage: python3 tools/dev.py torture" in capsys.readouterr().err
