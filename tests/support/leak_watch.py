"""Looks at all that servers say during the whole suite: no secret and no path of ours may be in it.

- Every byte that a Tornado server in the test's process hands to a socket, and every byte of a frame.
- Every log record at any level, in the form in which the program writes it.
- The stderr of every real program that is given JSON as its form, where nothing is for a person at a terminal.

Whatever has the form of a token is one: those that tests make, and ``PLANTED_TOKEN``, which none has made.
``pytest-of-`` is in the path of every temporary directory,
and so of every data directory. A Worker's own events may name such a path: they are the Worker's words, and told apart
by where they stand, in the payload of an event.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["PLANTED_TOKEN", "WATCH", "LeakWatch"]

PLANTED_TOKEN = "yoi_planted-Secret-4f1c09-never-to-be-seen-0123"
# As server/token_file.py makes them.
_TOKEN = re.compile(rb"yoi_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
_OWN_PATH = b"pytest-of-"
# An event's payload is the Worker's; so is what is made of it.
_WORKER_S_WORDS = re.compile(rb'"(?:payload|items|in_progress)":.*?(?=\n|\Z)', re.DOTALL)


class LeakWatch:
    """Counts what it looked at and keeps what it found."""

    def __init__(self) -> None:
        self.looked: Counter[str] = Counter()
        self.found: list[str] = []

    def wire(self, data: bytes) -> None:
        """Look at bytes on their way to a peer."""
        self.looked["bytes to peers"] += len(data)
        if token := _TOKEN.search(data):
            self._found("a token on the wire", data, token[0])
        # Cheap first: nearly all of it has neither.
        if _OWN_PATH in data and _OWN_PATH in (rest := _WORKER_S_WORDS.sub(b"", data)):
            self._found("a path of ours on the wire", rest, _OWN_PATH)

    def line(self, text: str, *, paths: bool) -> None:
        """Look at a line of a log; ``paths``: whether a path in it is a leak."""
        self.looked["log lines"] += 1
        data = text.encode("utf-8", "backslashreplace")
        if token := _TOKEN.search(data):
            self._found("a token in a log", data, token[0])
        if paths and _OWN_PATH.decode() in text:
            self._found("a path of ours in a log", data, _OWN_PATH)

    def program(self, stderr: str) -> None:
        """Look at what a program left on its stderr."""
        self.looked["programs"] += 1
        for line in stderr.splitlines():
            self.line(line, paths=line.startswith('{"time":'))

    def _found(self, what: str, data: bytes, mark: bytes) -> None:
        at = data.index(mark)
        self.found.append(f"{what}: {data[max(0, at - 120) : at + 120]!r}")


WATCH = LeakWatch()
