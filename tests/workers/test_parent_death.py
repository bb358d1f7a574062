from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.workers.real_children import DEADLINE_SECONDS, python
from yoi_runtime.workers import parent_death
from yoi_runtime.workers.parent_death import die_with_parent

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")

SLEEP = python("import time; time.sleep(600)")


@linux_only
def test_the_child_is_killed_when_the_thread_that_made_it_ends() -> None:
    children: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        children.append(subprocess.Popen(SLEEP, preexec_fn=die_with_parent()))  # noqa: PLW1509  what is tested

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert children[0].wait(DEADLINE_SECONDS) == -signal.SIGKILL


@linux_only
def test_a_child_whose_parent_died_before_the_call_kills_itself() -> None:
    in_child = die_with_parent()
    assert in_child is not None
    pid = os.fork()
    if pid == 0:
        # This process now is a child of the one that ``in_child`` was made in; a grandchild is not.
        grandchild = os.fork()
        if grandchild == 0:
            in_child()
            os._exit(0)
        os._exit(0 if os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == -signal.SIGKILL else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@linux_only
def test_a_refusal_of_the_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_death, "_prctl", lambda: lambda *arguments: -1)
    in_child = die_with_parent()
    assert in_child is not None
    with pytest.raises(OSError, match="PDEATHSIG"):
        in_child()


def test_without_prctl_there_is_nothing_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_death, "_prctl", lambda: None)
    assert die_with_parent() is None
