from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.deadline import wait_until_async
from tests.workers.real_children import open_descriptors, process_state, python, run
from yoi_runtime.errors import WorkerStartError
from yoi_runtime.workers.child_process import ChildProcess
from yoi_runtime.workers.terminal import TerminalOptions

LONG = 1000.0
TERMINAL = TerminalOptions()

IGNORE_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
# Prints the pid of a child of its own, which lives on in the same process group.
FORK_SLEEPER = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True);"


@pytest.fixture(params=["pidfd", "thread"])
def watched_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with both ways to learn of a child's end."""
    way: str = request.param
    if way == "thread":

        def refuse(pid: int) -> int:
            raise OSError("no pidfd here")

        monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    return way


async def read_all(child: ChildProcess) -> tuple[bytes, bytes]:
    stdout, stderr = b"", b""
    while chunk := await child.stdout.read():
        stdout += chunk
    while chunk := await child.stderr.read():
        stderr += chunk
    return stdout, stderr


@pytest.mark.parametrize(
    ("code", "returncode"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -signal.SIGABRT),
    ],
)
def test_the_return_code_tells_exit_code_and_signal(code: str, returncode: int, watched_by: str) -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python(code))
        assert await child.wait() == returncode
        assert (child.returncode, child.stop_reason) == (returncode, None)
        await read_all(child)
        child.close()

    run(test)


def test_the_child_leads_its_own_session_reads_nothing_and_inherits_no_descriptor(tmp_path: Path) -> None:
    code = """
import os, sys
print(os.getsid(0) == os.getpgid(0) == os.getpid(), os.read(0, 1) == b"", os.getcwd(), os.environ.get("MARK"))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:3], file=sys.stderr)
for fd in range(3, 256):
    try:
        os.fstat(fd)
    except OSError:
        continue
    print("inherited", fd, os.readlink(f"/proc/self/fd/{fd}"))
"""

    directory = tmp_path.resolve()

    async def test() -> None:
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        # A stdin that has something to read: the test run's own may be empty.
        stdin = os.dup(0)
        os.dup2(read_end, 0)
        os.write(write_end, b"not for the child")
        try:
            child = ChildProcess.start("w", python(code), cwd=tmp_path, env={"MARK": "here"})
        finally:
            os.dup2(stdin, 0)
            os.close(stdin)
        stdout, stderr = await read_all(child)
        assert (stdout.decode(), stderr) == (f"True True {directory} here\n", b"[0, 1, 2]\n")
        assert await child.wait() == 0
        child.close()
        os.close(read_end)
        os.close(write_end)

    run(test)


@pytest.mark.parametrize(
    ("command", "cwd", "reason"),
    [
        ([], None, "the command is empty"),
        (["/does/not/exist"], None, "'/does/not/exist': No such file or directory$"),
        (["no-such-command-anywhere"], None, "No such file or directory$"),
        (["/etc/passwd"], None, "Permission denied"),
        (["/"], None, "Permission denied"),
        ([sys.executable], "/does/not/exist", "No such file or directory: /does/not/exist"),
        ([sys.executable, "a\0b"], None, "null byte"),
    ],
    ids=["empty", "missing", "missing in PATH", "not executable", "directory", "no cwd", "nul"],
)
def test_a_command_that_cannot_start_is_an_error_and_leaves_no_descriptor(
    command: list[str], cwd: str | None, reason: str
) -> None:
    async def test() -> None:
        before = open_descriptors()
        with pytest.raises(WorkerStartError, match=reason) as caught:
            ChildProcess.start("w", command, cwd=cwd)
        assert open_descriptors() == before
        assert (caught.value.worker_id, caught.value.command) == ("w", command[0] if command else "")

    run(test)


def test_a_child_that_cannot_be_tied_to_us_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise OSError

    async def test() -> None:
        monkeypatch.setattr("yoi_runtime.workers.child_process.die_with_parent", lambda: refused)
        with pytest.raises(WorkerStartError, match="preexec_fn"):
            ChildProcess.start("w", python(""))

    run(test)


def test_no_descriptor_is_left_after_the_end(watched_by: str) -> None:
    async def test() -> None:
        before = open_descriptors()
        child = ChildProcess.start("w", python(""))
        await child.wait()
        child.close()
        child.close()
        assert open_descriptors() == before

    run(test)


def test_stop_ends_a_child_that_listens_with_sigterm(watched_by: str) -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python("import time; print(flush=True); time.sleep(600)"))
        await child.stdout.read()
        await asyncio.gather(child.stop("first", LONG), child.stop("second", LONG))
        assert (child.returncode, child.stop_reason) == (-signal.SIGTERM, "first")
        await child.stop("third", LONG)
        assert child.stop_reason == "first"
        child.close()

    run(test)


def test_stop_kills_a_child_that_does_not_listen_after_the_grace(watched_by: str) -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python(IGNORE_SIGTERM))
        assert await child.stdout.read() == b"up\n"
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await child.stop("asked", 0.2)
        assert loop.time() - begin >= 0.2
        assert child.returncode == -signal.SIGKILL
        child.close()

    run(test)


def test_stop_takes_the_whole_group_along(watched_by: str) -> None:
    ignoring = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    code = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", {ignoring!r}]).pid, flush=True)
time.sleep(600)
"""

    async def test() -> None:
        child = ChildProcess.start("w", python(code))
        output = b""
        while len(output.split()) < 2:
            output += await child.stdout.read()
        # The child itself ends at SIGTERM; the deaf one must not survive it.
        await child.stop("asked", LONG)
        assert child.returncode == -signal.SIGTERM
        deaf = int(output.replace(b"deaf", b""))
        await wait_until_async(lambda: process_state(deaf) is None)
        child.close()

    run(test)


def test_what_a_child_leaves_running_survives_a_normal_end() -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python(FORK_SLEEPER))
        sleeper = int(await child.stdout.read())
        assert await child.wait() == 0
        os.kill(sleeper, 0)
        os.kill(sleeper, signal.SIGKILL)
        child.close()

    run(test)


def test_a_stop_after_the_end_changes_nothing_even_when_the_end_was_not_noticed_yet(watched_by: str) -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python("raise SystemExit(3)"))
        # Blocks the loop until the child is a zombie, so that only the kernel knows of its end.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        await child.stop("too late", LONG)
        assert (child.returncode, child.stop_reason) == (3, None)
        child.close()

    run(test)


def test_kill_does_not_wait() -> None:
    async def test() -> None:
        child = ChildProcess.start("w", python(IGNORE_SIGTERM))
        await child.stdout.read()
        await child.kill("now")
        assert (child.returncode, child.stop_reason) == (-signal.SIGKILL, "now")
        child.close()

    run(test)


def test_a_stop_after_the_end_ends_the_wait_for_a_process_that_keeps_the_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yoi_runtime.workers.child_process.QUIET_SECONDS", LONG)

    async def test() -> None:
        child = ChildProcess.start("w", python(FORK_SLEEPER))
        sleeper = int(await child.stdout.read())
        await child.wait()
        waiting = asyncio.create_task(child.stdout.read())
        await asyncio.sleep(0)
        await child.stop("no patience", LONG)
        assert await waiting == b""
        assert child.stdout.abandoned
        os.kill(sleeper, signal.SIGKILL)
        child.close()

    run(test)


# On a terminal.

ON_A_TERMINAL = """
import os, sys, termios
for fd in (0, 1, 2):
    assert os.isatty(fd), fd
control = os.open("/dev/tty", os.O_RDWR)
assert os.getsid(0) == os.getpid() == os.tcgetpgrp(control)
print(os.ttyname(0) == os.ttyname(2), *termios.tcgetwinsize(0), os.environ["TERM"], os.environ.get("COLUMNS"))
print("error", file=sys.stderr)
print(sorted(os.listdir("/proc/self/fd")))
"""


def test_a_child_on_a_terminal_controls_it_and_inherits_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "7")

    async def test() -> None:
        child = ChildProcess.start("w", python(ON_A_TERMINAL), terminal=TerminalOptions(columns=132, rows=43))
        stdout, stderr = await read_all(child)
        assert (await child.wait(), child.stdout.abandoned, child.stderr.abandoned) == (0, False, False)
        child.close()
        lines = stdout.decode().split("\r\n")
        assert lines[:2] == ["True 43 132 xterm-256color None", "error"]
        # 3 is /dev/tty, 4 the listing itself.
        assert lines[2:] == ["['0', '1', '2', '3', '4']", ""]
        assert stderr == b""

    run(test)


def test_all_of_a_terminal_is_read_however_late(watched_by: str) -> None:
    """The end of a terminal is an error on Linux, and comes after what was written."""

    async def test() -> None:
        before = open_descriptors()
        child = ChildProcess.start(
            "w", python("print(''.join(f'{n:07}\\n' for n in range(20000)), end='')"), terminal=TERMINAL
        )
        # More than the kernel holds: the child blocks until somebody reads.
        first = await child.stdout.read()
        await wait_until_async(lambda: process_state(child.pid) == "S")
        parts = [first]
        while chunk := await child.stdout.read():
            parts.append(chunk)
        assert await child.wait() == 0
        assert b"".join(parts) == b"".join(b"%07d\r\n" % n for n in range(20000))
        assert await child.stdout.read() == b""
        child.close()
        assert open_descriptors() == before

    run(test)


@pytest.mark.parametrize("ends", ["the child", "its descendant"])
def test_what_holds_a_terminal_after_the_end_is_hung_up(ends: str) -> None:
    async def test() -> None:
        code = FORK_SLEEPER if ends == "the child" else f"{FORK_SLEEPER} import signal; signal.pause()"
        child = ChildProcess.start("w", python(code), terminal=TERMINAL)
        pid = int((await child.stdout.read()).split()[0])
        if ends == "its descendant":
            await child.stop("enough", LONG)
        await child.wait()
        assert await child.stdout.read() == b""
        await wait_until_async(lambda: process_state(pid) is None)
        child.close()

    run(test)


def test_without_a_terminal_to_be_had_nothing_is_started_and_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        before = open_descriptors()

        def refuse() -> tuple[int, int]:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "openpty", refuse)
            with pytest.raises(WorkerStartError, match="No space left"):
                ChildProcess.start("w", python("pass"), terminal=TERMINAL)
        with pytest.raises(WorkerStartError):
            ChildProcess.start("w", ["/no/such/program"], terminal=TERMINAL)
        assert open_descriptors() == before

    run(test)
