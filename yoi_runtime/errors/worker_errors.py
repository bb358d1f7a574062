"""What goes wrong with a Worker, and with the adapter of its output. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from yoi_runtime.errors.root import YoiError

__all__ = [
    "AdapterError",
    "WorkerEndedError",
    "WorkerError",
    "WorkerIdInvalidError",
    "WorkerNotFoundError",
    "WorkerRunningError",
    "WorkerStartError",
]


class WorkerError(YoiError):
    """Something about the Worker ``worker_id``."""

    def __init__(self, worker_id: str, message: str) -> None:
        self.worker_id = worker_id
        super().__init__(message)


class WorkerIdInvalidError(WorkerError):
    """The id does not match ``[A-Za-z0-9_-]{1,64}``."""

    def __init__(self, worker_id: str) -> None:
        shown = worker_id[:64] + ("…" if len(worker_id) > 64 else "")
        super().__init__(worker_id[:64], f"Worker id {shown!r} is not 1 to 64 of the characters A-Z a-z 0-9 _ -")


class WorkerRunningError(WorkerError):
    """A Worker of this id runs already."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"Worker {worker_id} is running already")


class WorkerNotFoundError(WorkerError):
    """No Worker of this id is known."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"no Worker {worker_id}")


class WorkerEndedError(WorkerError):
    """The Worker has ended and takes no more events; create it anew to go on."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(worker_id, f"Worker {worker_id} has ended; create it anew to go on")


class WorkerStartError(WorkerError):
    """The Worker's command could not be started; no process exists."""

    def __init__(self, worker_id: str, command: str, reason: str) -> None:
        self.command = command
        self.reason = reason
        super().__init__(worker_id, f"Worker {worker_id}: cannot start {command!r}: {reason}")


class AdapterError(YoiError):
    """There is no adapter ``name``, or the installed ``distribution`` that brings it is broken."""

    def __init__(self, name: str, distribution: str | None, reason: str) -> None:
        self.name = name
        self.distribution = distribution
        self.reason = reason
        source = f" of the distribution {distribution!r}" if distribution is not None else ""
        super().__init__(f"adapter {name!r}{source} {reason}")
