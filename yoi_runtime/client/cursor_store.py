"""Where a stream keeps its cursor between runs. A store of one's own has these two methods.

A cursor belongs to a *scope*: a short text that says what the stream shows. The same cursor under another scope would
leave events out in silence, so a store keeps the two together. The SQLite store is in ``sqlite_cursor_store``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from yoi_runtime.errors import CursorStoreError

__all__ = ["CursorStore", "FileCursorStore", "MemoryCursorStore", "scope_of"]

_VERSION: Final = 1
# A token has at most 64 characters, a scope holds an id and names of events.
_MAX_FILE_BYTES: Final = 64 << 10


class CursorStore(Protocol):
    """Loads and saves cursors. Called from a thread of its own, one call at a time: it may block.

    What it raises ends the stream; raise ``CursorStoreError`` to be understood.
    """

    def load(self, scope: str) -> str | None:
        """Return the cursor last saved under ``scope``, None when there is none."""
        ...

    def save(self, scope: str, cursor: str) -> None:
        """Keep ``cursor`` under ``scope``; once this returns, it should survive the process, better a power cut."""
        ...


def scope_of(worker_id: str | None, events: Iterable[str] | None = None) -> str:
    """Return the scope of a stream: ``everything`` or ``worker:ID``, and after a blank ``events:a,b`` if filtered."""
    scope = "everything" if worker_id is None else f"worker:{worker_id}"
    return scope if events is None else f"{scope} events:{','.join(sorted(events))}"


class MemoryCursorStore:
    """Keeps cursors as long as the process lives: for streams that are closed and opened again."""

    def __init__(self) -> None:
        self._cursors: dict[str, str] = {}

    def load(self, scope: str) -> str | None:
        return self._cursors.get(scope)

    def save(self, scope: str, cursor: str) -> None:
        self._cursors[scope] = cursor


class FileCursorStore:
    """One file for one scope: ``{"version":1,"scope":"worker:coder","cursor":"wo1…"}``.

    Replaced as a whole: written beside it, synced, renamed over it, and the directory synced. A killed program and a
    power cut leave the old cursor or the new one. Two streams must not share a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"FileCursorStore({str(self.path)!r})"

    def load(self, scope: str) -> str | None:
        """Return the cursor in the file, None when there is no file.

        Raises:
            CursorStoreError: it cannot be read, is no file of ours, or belongs to another scope.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("cannot be read", error) from error
        try:
            kept = json.loads(data)
            version, kept_scope, cursor = kept["version"], kept["scope"], kept["cursor"]
        except (ValueError, TypeError, KeyError):
            raise CursorStoreError(str(self.path), "is not a cursor file; delete it to begin anew") from None
        if version != _VERSION or not isinstance(cursor, str) or not cursor:
            raise CursorStoreError(str(self.path), "is of another version; delete it to begin anew")
        if kept_scope != scope:
            raise CursorStoreError(
                str(self.path), f"holds the cursor of '{kept_scope}', this is '{scope}': give each stream its own file"
            )
        return cursor

    def save(self, scope: str, cursor: str) -> None:
        """Replace the file; it survives a power cut from here on.

        Raises:
            CursorStoreError: it cannot be written; the former file is as it was.
        """
        data = json.dumps({"version": _VERSION, "scope": scope, "cursor": cursor}, separators=(",", ":")) + "\n"
        # One name for each process: what a killed one leaves behind is overwritten, never somebody else's.
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self._write(draft, data.encode())
            draft.replace(self.path)
            self._sync_directory()
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise self._failed("cannot be written", error) from error

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)

    def _sync_directory(self) -> None:
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _failed(self, what: str, error: OSError) -> CursorStoreError:
        return CursorStoreError(str(self.path), f"{what}: {error.strerror or error}")
