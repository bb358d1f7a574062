"""One child process: started, watched, stopped. Knows nothing of lines or events.

The child leads its own session and process group, reads ``/dev/null``, or has a terminal of its own, and is killed
by the kernel when this process dies (limits: ``parent_death.py``). Everything runs on the loop that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.errors import WorkerStartError
from yoi_runtime.workers.descriptor_limit import with_limit_of_before
from yoi_runtime.workers.parent_death import die_with_parent
from yoi_runtime.workers.pipe_reader import PipeReader
from yoi_runtime.workers.terminal import TerminalOptions, open_terminal, take_terminal, terminal_environment

__all__ = ["ChildProcess"]

# After the child's end, how long its pipes may stay silent or go on when another process holds them.
QUIET_SECONDS = 1.0
DRAIN_SECONDS = 10.0


class _Ends(NamedTuple):
    """Descriptors: what we read of the child's stdout and stderr, and its stdin, stdout and stderr."""

    ours: tuple[int, int]
    childs: tuple[int, int, int]


class ChildProcess:
    """A running child and the two pipes it writes to. Made by ``start``, given back by ``close``.

    On a terminal all it writes is ``stdout``; ``stderr`` is at its end from the beginning.
    """

    def __init__(self, process: subprocess.Popen[bytes], stdout: PipeReader, stderr: PipeReader) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._stop_reason: str | None = None
        self._pidfd: int | None = None
        self._watch()

    @classmethod
    def start(
        cls,
        worker_id: str,
        command: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        terminal: TerminalOptions | None = None,
    ) -> ChildProcess:
        """Start ``command``; ``env`` None means this process's environment. Blocks until exec, about 1 ms.

        On a ``terminal``, TERM and the size are the terminal's own, unless ``env`` is given: then that is all.

        Call it on the main thread, or on one that lives as long as the process: the child dies with
        the thread that started it.

        Raises:
            WorkerStartError: no process exists.
        """
        shown = command[0] if command else ""
        if not command:
            raise WorkerStartError(worker_id, shown, "the command is empty")
        with contextlib.ExitStack() as on_error, contextlib.ExitStack() as always:
            try:
                # The pipes first: without descriptors for them there must be no child either.
                ends = _pipes() if terminal is None else _terminal(terminal)
                for ours in ends.ours:
                    on_error.callback(os.close, ours)
                for childs in {*ends.childs}:
                    always.callback(os.close, childs)
                child_stdin, child_stdout, child_stderr = ends.childs
                if terminal is not None and env is None:
                    env = terminal_environment(os.environ, {})
                prepare = with_limit_of_before(die_with_parent())
                process = subprocess.Popen(
                    command,
                    stdin=child_stdin,
                    stdout=child_stdout,
                    stderr=child_stderr,
                    cwd=cwd,
                    env=env,
                    start_new_session=True,
                    # Unsafe with threads if it took a lock: it makes some system calls, see there.
                    preexec_fn=prepare if terminal is None else take_terminal(prepare),  # noqa: PLW1509
                )
            except OSError as error:
                # A missing command is named by the error already; another place, such as cwd, is not.
                place = os.fsdecode(error.filename) if error.filename is not None else shown
                where = f": {place}" if place != shown else ""
                raise WorkerStartError(worker_id, shown, f"{error.strerror or error}{where}") from error
            except (ValueError, subprocess.SubprocessError) as error:
                # ValueError: a NUL in an argument, a lone surrogate, "=" in a variable's name.
                raise WorkerStartError(worker_id, shown, str(error)) from error
            on_error.pop_all()
        return cls(process, *map(PipeReader, ends.ours))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while the child runs; minus the signal that ended it, or its exit code."""
        return self._process.returncode

    @property
    def stop_reason(self) -> str | None:
        """The reason given to the first ``stop`` that found the child running."""
        return self._stop_reason

    async def wait(self) -> int:
        """Return the return code when the child has ended. Several tasks may wait."""
        await self._ended.wait()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, reason: str, grace_seconds: float) -> None:
        """End the child: SIGTERM to its process group, after ``grace_seconds`` SIGKILL; return when it is gone.

        What is left of the group is killed too. A process that left the group (``setsid``), or
        that changed its user, is out of reach. May be called from several tasks and repeated; the
        first reason stays.
        """
        if self._has_ended():
            await self._ended.wait()
            # Nobody has to wait for a process the child left behind on its pipes.
            self.stdout.end_after(0, 0)
            self.stderr.end_after(0, 0)
            return
        if self._stop_reason is None:
            self._stop_reason = reason
        self._signal_group(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                await self._ended.wait()
        except TimeoutError:
            self._signal_group(signal.SIGKILL)
            await self._ended.wait()

    async def kill(self, reason: str) -> None:
        """As ``stop``, without grace."""
        if not self._has_ended() and self._stop_reason is None:
            self._stop_reason = reason
        self._signal_group(signal.SIGKILL)
        await self._ended.wait()

    def close(self) -> None:
        """Close the pipes. The child should have ended; while it lives it is still watched and reaped."""
        self.stdout.close()
        self.stderr.close()

    def _signal_group(self, number: signal.Signals) -> None:
        # The child is not reaped yet (returncode is None), so that its pid, which is the group's
        # id, cannot belong to anybody else.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _has_ended(self) -> bool:
        """Whether the child has ended, even when its end was not noticed yet. Does not reap it."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return False
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            # Somebody reaped it for us (SIGCHLD is ignored in this process).
            return True

    def _watch(self) -> None:
        """Have ``_on_end`` called on the loop when the child has ended, before it is reaped."""
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            # Not Linux, or a kernel before 5.3.
            threading.Thread(target=self._watch_in_thread, daemon=True, name="worker-end").start()
        else:
            self._loop.add_reader(self._pidfd, self._on_end)

    def _watch_in_thread(self) -> None:
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        # RuntimeError: the loop was closed meanwhile; nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._on_end)

    def _on_end(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._stop_reason is not None:
            # Before reaping, see _signal_group. After a normal end what the Worker left running stays.
            self._signal_group(signal.SIGKILL)
        self._process.wait()
        # After a stop only a process that left the group can hold the pipes: no patience with it.
        limit_seconds = DRAIN_SECONDS if self._stop_reason is None else QUIET_SECONDS
        self.stdout.end_after(QUIET_SECONDS, limit_seconds)
        self.stderr.end_after(QUIET_SECONDS, limit_seconds)
        self._ended.set()


def _pipes() -> _Ends:
    """Return the ends of two pipes, and nothing to read for the child. Raises ``OSError``: none of them is open."""
    with contextlib.ExitStack() as on_error:
        opened: list[int] = []
        for _ in range(2):
            for end in os.pipe():
                on_error.callback(os.close, end)
                opened.append(end)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        on_error.pop_all()
    stdout, child_stdout, stderr, child_stderr = opened
    return _Ends((stdout, stderr), (nothing, child_stdout, child_stderr))


def _terminal(options: TerminalOptions) -> _Ends:
    """Return the ends of a terminal. Raises ``OSError``: none of them is open."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ours, childs = open_terminal(options)
    except OSError:
        os.close(nothing)
        raise
    return _Ends((ours, nothing), (childs, childs, childs))
