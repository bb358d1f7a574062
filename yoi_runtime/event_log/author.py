"""Who appends: one Worker in one of its runs."""

from __future__ import annotations

__all__ = ["Author"]


class Author:
    """A Worker that may append until it has ended. The log sets ``ended``, in a turn: nothing of it comes after."""

    __slots__ = ("ended", "worker_id")

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.ended = False
