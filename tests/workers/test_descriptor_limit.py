from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.real_children import DEADLINE_SECONDS, python
from yoi_runtime.workers import descriptor_limit
from yoi_runtime.workers.child_process import ChildProcess
from yoi_runtime.workers.descriptor_limit import raised_limit, with_limit_of_before
from yoi_runtime.workers.terminal import TerminalOptions

TELLS = python("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])")


def limit_of_a_child() -> int:
    child = subprocess.run(
        TELLS, preexec_fn=with_limit_of_before(None), capture_output=True, check=True, timeout=DEADLINE_SECONDS
    )
    return int(child.stdout)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Lower the soft limit, as one finds it in a shell; nothing has raised it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Above what other tests of this process have open, themselves or as modules that were imported.
    low = min(soft, max(256, max(int(path.name) for path in Path("/dev/fd").iterdir()) + 64))
    monkeypatch.setattr(descriptor_limit, "_before", None)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    yield low
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_as_far_as_is_needed_and_allowed(low: int):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raised_limit(low - 10) == low
    wanted = low + 10 if hard == resource.RLIM_INFINITY else min(low + 10, hard)
    assert raised_limit(wanted) == wanted
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)
    if hard != resource.RLIM_INFINITY:
        assert raised_limit(hard + 1) == hard


def test_a_child_has_the_limit_of_before_however_often_it_was_raised(low: int):
    assert with_limit_of_before(None) is None
    raised_limit(low + 10)
    raised_limit(low + 20)
    assert limit_of_a_child() == low
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low + 20
    # Somebody has lowered it since: what is lower counts.
    resource.setrlimit(resource.RLIMIT_NOFILE, (low - 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert limit_of_a_child() == low - 10


@pytest.mark.parametrize("terminal", [None, TerminalOptions()])
async def test_a_worker_is_given_it(low: int, terminal: TerminalOptions | None):
    raised_limit(low + 10)
    child = ChildProcess.start("w", TELLS, terminal=terminal)
    try:
        assert int(await _all_of(child)) == low
    finally:
        await child.wait()
        child.close()


async def _all_of(child: ChildProcess) -> bytes:
    read = b""
    while chunk := await child.stdout.read():
        read += chunk
    return read
