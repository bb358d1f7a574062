"""What tests/conftest.py and the pytest settings promise, seen from outside: small test files, run by a pytest of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT

SAMPLE = """
import asyncio, contextlib, logging, socket, warnings
import pytest
from hypothesis import given, strategies as st

log = logging.getLogger("sample.part")
seen, left_over = [], []

async def test_passes_a_coroutine():
    await asyncio.sleep(0)

class TestClass:
    async def test_passes_in_a_class(self, io_loop):
        assert io_loop.asyncio_loop is asyncio.get_running_loop()

@given(st.integers())
async def test_passes_given_on_a_coroutine(number):
    await asyncio.sleep(0)
    seen.append(number)

def test_passes_every_example_was_run():
    assert len(seen) >= 100

@given(st.integers())
async def test_fails_given_on_a_coroutine(number):
    await asyncio.sleep(0)
    assert number < 1000

async def test_passes_and_leaves_a_task():
    left_over.append(asyncio.create_task(asyncio.sleep(3600)))
    left_over.append(asyncio.create_task(asyncio.to_thread(lambda: None)))

def test_passes_the_task_was_cancelled():
    assert left_over[0].cancelled()

async def test_fails_in_a_coroutine():
    await asyncio.sleep(0)
    assert False

def test_fails_on_a_warning():
    warnings.warn("old", DeprecationWarning)

def test_errors_on_an_unexpected_log_record():
    log.warning("something is wrong")

def test_passes_an_announced_log_record(expect_log):
    expect_log("sample", "is wrong$")
    log.error("something is wrong")

def test_errors_on_another_log_record(expect_log):
    expect_log("sample", "is wrong$")
    log.error("something is wrong")
    log.error("something else")

def test_errors_on_a_log_record_of_another_logger(expect_log):
    expect_log("samp", "is wrong$")
    log.error("something is wrong")

def test_errors_on_an_announced_log_record_that_does_not_come(expect_log):
    expect_log("sample", "is wrong$")

def test_passes_a_quiet_log_record():
    log.info("all is well")

def test_passes_an_answer_of_4xx_in_the_access_log():
    logging.getLogger("tornado.access").warning("404 GET /")

async def test_errors_on_an_exception_nobody_awaited():
    async def fail():
        me = asyncio.current_task()  # a cycle, over the traceback: only the collector finds it
        raise ValueError("lost")
    asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_fails_on_a_socket_nobody_closed():
    socket.create_server(("127.0.0.1", 0))

@pytest.mark.timeout(0.2)
def test_fails_past_its_time():
    with contextlib.suppress(Exception):
        import threading
        threading.Event().wait(30)

@pytest.mark.timeout(0.2)
async def test_fails_past_its_time_in_a_coroutine():
    await asyncio.sleep(30)

def test_passes_after_all_that():
    pass
"""


def run_pytest(directory: Path, sample: str) -> tuple[dict[str, str], str]:
    """Run a sample beside our conftest.py with our settings; return each test's outcome, and the output."""
    (directory / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", directory)
    shutil.copy(ROOT / "tests" / "conftest.py", directory / "tests")
    (directory / "tests" / "test_sample.py").write_text(sample, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=outcome.xml"]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    report = directory / "outcome.xml"
    assert report.exists(), result.stdout + result.stderr
    outcomes: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        name = case.get("name", "")
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "pass")
        if outcomes.setdefault(name, outcome) == "pass":
            outcomes[name] = outcome
    return outcomes, result.stdout


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    return run_pytest(tmp_path_factory.mktemp("sample"), SAMPLE)


def test_each_sample_ends_as_its_name_says(sample: tuple[dict[str, str], str]):
    outcomes, output = sample
    ends = {"passes": "pass", "fails": "failure", "errors": "error"}
    expected = {name: ends[name.split("_")[1]] for name in outcomes}
    assert len(outcomes) == SAMPLE.count("def test_")
    assert outcomes == expected, output


@pytest.mark.parametrize(
    "words",
    [
        "unexpected log record: WARNING sample.part: something is wrong",
        "unexpected log record: ERROR sample.part: something else",
        "expected log record did not come: sample: is wrong$",
        "Task exception was never retrieved",
        "number=1000",  # the smallest example that fails, found by running coroutines
    ],
)
def test_the_report_says_what_was_wrong(sample: tuple[dict[str, str], str], words: str):
    assert words in sample[1]


def test_the_closing_line_is_pytests_own(sample: tuple[dict[str, str], str]):
    assert " passed, " in sample[1].splitlines()[-1]


def test_a_marker_nobody_declared_is_refused(tmp_path: Path):
    outcomes, output = run_pytest(tmp_path, "import pytest\n@pytest.mark.slowish\ndef test_it(): ...\n")
    assert "pass" not in outcomes.values()
    assert "'slowish' not found in `markers`" in output


@pytest.mark.parametrize("chosen", [None, "elsewhere"])
def test_temporary_directories_lie_in_memory_or_where_they_are_told(tmp_path: Path, chosen: str | None):
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 4 << 30:
        pytest.skip("there is no room in memory here")
    shutil.copyfile(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_place.py").write_text("def test_place(tmp_path):\n    print('lies in', tmp_path)\n")
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_DEBUG_TEMPROOT"}
    if chosen is not None:
        (tmp_path / chosen).mkdir()
        variables["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path / chosen)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert f"lies in {memory if chosen is None else tmp_path / chosen}/" in result.stdout, result.stdout
