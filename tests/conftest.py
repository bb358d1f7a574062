"""What every test here can count on.

- ``async def test_…`` runs on a fresh event loop, ``io_loop``, also under Hypothesis' ``@given``
  (pytest-tornasync runs it; async fixtures are not supported: use a plain one and ``io_loop.run_sync``).
- A warning fails the test (pyproject.toml), and so does a log record at WARNING or above that the
  test did not announce with ``expect_log``.
- Where Tornado is not installed, the tests of the core run all the same, on a plain event loop.
- Temporary directories lie in memory where there is room (``_use_memory``).
- Signals do what they do for a person at a terminal, however the tests were started (``_hear_signals``).
- Hypothesis draws the same examples every time; ``--hypothesis-profile=explore`` draws new ones.
- Everything that servers send and log is looked at for secrets and paths of ours (``tests.support.leak_watch``).

Waiting for something: ``tests.support.deadline``.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leak_watch import WATCH
from yoi_runtime.notices import NOTICE_ATTRIBUTE, Notice

# No deadline and no complaint about slow examples: the machine may be busy, and pytest-timeout bounds the test.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "explore", deadline=None, max_examples=2_000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

if TYPE_CHECKING:
    from tornado.iostream import BaseIOStream

    from yoi_runtime.server.websocket_outlet import WebSocketOutlet
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30


def _use_memory() -> None:
    """Have pytest put its temporary directories in memory.

    Half of the time of a run is waiting for the disk, which proves nothing here: whether what was synced outlives a power
    cut is tried with files that forget (tests/faults), and on the disk by ``dev.py torture``. They are real files all
    the same. ``--basetemp`` and ``PYTEST_DEBUG_TEMPROOT`` name another place: .ci/run has one leg on a disk.
    """
    try:
        has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
        # Tests write programs and run them; a hardened system has none run there.
        has_room = has_room and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    except OSError:
        has_room = False
    if has_room:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


_use_memory()


def _hear_signals() -> None:
    """Take back that signals are ignored, as ``nohup`` and a shell's ``&`` have it: programs that tests start inherit that."""
    for number, action in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)


_hear_signals()

ExpectLog = Callable[[str, str], None]


class Loop(Protocol):
    """What the tests here ask of an event loop: Tornado's, or where there is no Tornado, ours."""

    def run_sync(self, function: Callable[[], object]) -> object:
        """Run a coroutine function to its end and return its result."""
        ...

    def close(self, all_fds: bool = False) -> None:
        """Close the loop."""
        ...


class _PlainLoop:
    """An asyncio loop in the form of Tornado's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run_sync(self, function: Callable[[], object]) -> object:
        result = function()
        assert inspect.iscoroutine(result)
        return self._loop.run_until_complete(result)

    def close(self, all_fds: bool = False) -> None:
        del all_fds
        self._loop.close()


def _wrap(loop: asyncio.AbstractEventLoop) -> Loop:
    """Return ``loop``, which is the current one, as Tornado sees it."""
    try:
        from tornado.ioloop import IOLoop
    except ModuleNotFoundError:
        return _PlainLoop(loop)
    return IOLoop.current()


class _LogWatch(logging.Handler):
    """Collects what is logged at WARNING or above, and what was announced."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.announced: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def expect(self, logger: str, pattern: str) -> None:
        """Announce at least one record of ``logger`` or below whose message holds ``pattern`` (a regular expression)."""
        self.announced.append((logger, pattern))

    def problems(self) -> Iterator[str]:
        missing = set(self.announced)
        for record in self.records:
            message = record.getMessage()
            hits = {(name, words) for name, words in self.announced if _matches(record.name, name, words, message)}
            missing -= hits
            if not hits and not _says_nothing_here(record):
                yield f"unexpected log record: {record.levelname} {record.name}: {message}"
        for name, pattern in sorted(missing):
            yield f"expected log record did not come: {name}: {pattern}"


def _says_nothing_here(record: logging.LogRecord) -> bool:
    # Tornado's access log speaks at WARNING of every 4xx answer: the answer is the test's affair. That the loop was held
    # up says that the machine is busy.
    is_access = record.name == "tornado.access" and record.levelno == logging.WARNING
    return is_access or getattr(record, NOTICE_ATTRIBUTE, None) is Notice.LOOP_BLOCKED


def _matches(record_name: str, name: str, pattern: str, message: str) -> bool:
    return f"{record_name}.".startswith(f"{name}.") and re.search(pattern, message) is not None


@pytest.fixture(autouse=True)
def _no_program_log() -> Iterator[None]:
    """Take away the log of a program that was run in this process: what the next test logs is not for it."""
    root = logging.getLogger()
    level = root.level
    yield
    program_log = sys.modules.get("yoi_runtime.cli.operator_log")
    if program_log is not None:
        for handler in program_log._installed:
            root.removeHandler(handler)
        program_log._installed.clear()
    root.setLevel(level)


@pytest.fixture(autouse=True)
def expect_log() -> Iterator[ExpectLog]:
    """Fail the test for log records at WARNING or above, but for those it announces: ``expect_log(logger, pattern)``."""
    watch = _LogWatch()
    logging.getLogger().addHandler(watch)
    try:
        yield watch.expect
    finally:
        logging.getLogger().removeHandler(watch)
    if problems := list(watch.problems()):
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture(autouse=True, scope="session")
def _wire_watched() -> Iterator[None]:
    """Have ``tests.support.leak_watch`` look at what servers in this process send."""
    try:
        from tornado.iostream import BaseIOStream
    except ModuleNotFoundError:
        yield
        return
    from yoi_runtime.server.websocket_outlet import WebSocketOutlet

    write, begin = BaseIOStream.write, WebSocketOutlet.begin

    def watched_write(self: BaseIOStream, data: bytes | memoryview) -> object:
        # What a client asks for begins with its method, and may hold its token.
        if data[:4] not in (b"GET ", b"POST", b"HEAD", b"PUT "):
            WATCH.wire(bytes(data))
        return write(self, data)

    def watched_frames(self: WebSocketOutlet, frames: bytes) -> bool:
        WATCH.wire(frames)
        return begin(self, frames)

    patch = pytest.MonkeyPatch()
    patch.setattr(BaseIOStream, "write", watched_write)
    patch.setattr(WebSocketOutlet, "begin", watched_frames)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail the test in which a secret or a path of ours was seen on the wire or in a log."""
    handler = _LeakHandler()
    logging.getLogger().addHandler(handler)
    before = len(WATCH.found)
    yield
    logging.getLogger().removeHandler(handler)
    if found := WATCH.found[before:]:
        del WATCH.found[before:]
        pytest.fail("\n".join(found), pytrace=False)


class _LeakHandler(logging.Handler):
    """Shows the watch every record. Paths are the business of the program's own handler, which is tested with programs."""

    def emit(self, record: logging.LogRecord) -> None:
        WATCH.line(record.getMessage(), paths=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was looked at; with several processes, each knows its own share."""
    if WATCH.looked:
        looked = ", ".join(f"{count:,} {what}" for what, count in sorted(WATCH.looked.items()))
        terminalreporter.write_line(f"watched for leaks: {looked}")


@pytest.fixture
def io_loop(expect_log: ExpectLog) -> Iterator[Loop]:
    """Give the test an event loop of its own, as Tornado sees it; cancel what the test left running.

    Takes the place of the plug-in's fixture, which calls what Tornado has deprecated.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    io_loop = _wrap(loop)
    yield io_loop
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    io_loop.close(all_fds=True)
    # An exception nobody awaited and a socket nobody closed speak up when they are collected: here, not in
    # the middle of a later test.
    del tasks, loop, io_loop
    gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test the loop, also where it does not ask for it."""
    for item in items:
        test = getattr(item, "obj", None)
        if inspect.iscoroutinefunction(test) or _inner_coroutine(test) is not None:
            names = getattr(item, "fixturenames", [])
            if "io_loop" not in names:
                names.insert(0, "io_loop")


def pytest_collection_finish() -> None:
    """Have the collector pass over what stays to the end: modules and thousands of tests.

    ``io_loop`` collects after each test, and would look at all of them.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let ``@given`` stand on a coroutine: each example runs to its end on the loop.

    Where pytest-tornasync is not installed, run the other coroutine tests too.
    """
    inner = _inner_coroutine(pyfuncitem.obj)
    if inner is None:
        if inspect.iscoroutinefunction(pyfuncitem.obj) and not pyfuncitem.config.pluginmanager.hasplugin("tornado"):
            pyfuncitem.obj = _on_the_loop(pyfuncitem.obj, cast("Loop", pyfuncitem.funcargs["io_loop"]))
        return (yield)
    io_loop = cast("Loop", pyfuncitem.funcargs["io_loop"])

    handle = pyfuncitem.obj.hypothesis
    handle.inner_test = _on_the_loop(inner, io_loop)
    try:
        return (yield)
    finally:
        handle.inner_test = inner


def _on_the_loop(coroutine: Callable[..., object], io_loop: Loop) -> Callable[..., object]:
    """Return a plain function that runs ``coroutine`` to its end."""

    @functools.wraps(coroutine)  # Hypothesis reports its name and draws by its source; pytest reads its arguments
    def run_to_its_end(*args: object, **kwargs: object) -> object:
        return io_loop.run_sync(lambda: coroutine(*args, **kwargs))

    return run_to_its_end


def _inner_coroutine(test: object) -> Callable[..., object] | None:
    """Return the coroutine function under ``@given``, or None where there is none."""
    inner = getattr(getattr(test, "hypothesis", None), "inner_test", None)
    return inner if inspect.iscoroutinefunction(inner) else None
