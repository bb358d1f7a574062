"""Runs of records in memory, and their encoded forms: made once per process, shared by all who are at that place.

A cache of the file and nothing else: what falls out is read again. Bounded in bytes, forms included. No I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeGuard

from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk

__all__ = ["ChunkCache", "Encoder", "SharedChunk"]

# Makes WebSocket frames of whole lines. A function of a module: it is the name of the form, too.
Encoder = Callable[[bytes, int], bytes]

# An entry's own objects, roughly: many small chunks are not free.
_ENTRY_BYTES = 1000


class SharedChunk:
    """Like ``Chunk``, with a place for what was made of it. ``records`` lines in ``data``, newlines included.

    ``own_seq``: all of them are one Worker's, and this is the newest worker_seq; None where that was not looked at.
    """

    __slots__ = ("data", "end", "forms", "held_bytes", "own_seq", "records", "start")

    def __init__(self, data: bytes, start: Position, end: Position, records: int, own_seq: int | None = None) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.records = records
        self.own_seq = own_seq
        self.forms: dict[Encoder, bytes] = {}
        # As the cache counts it; 0 once it is out of the cache.
        self.held_bytes = 0


class ChunkCache:
    """Keeps the chunks that were used last, up to ``max_bytes`` of data and forms."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: OrderedDict[tuple[int, int, int], SharedChunk] = OrderedDict()
        self.held_bytes = 0

    def get(self, position: Position, want_bytes: int) -> SharedChunk | None:
        """Return what follows ``position``, joined with its successors here up to about ``want_bytes``; None if unknown.

        Joining is how a subscriber that fell behind catches up in large steps through what came in small ones.
        """
        chunk = self._chunks.get(position[:3])
        if chunk is None:
            return None
        self._chunks.move_to_end(position[:3])
        if len(chunk.data) >= want_bytes // 2:
            return chunk
        following = self._chunks.get(chunk.end[:3])
        if not _goes_on(following, chunk.end) or len(chunk.data) + len(following.data) > want_bytes:
            return chunk
        return self._put(position[:3], self._join(chunk, following, want_bytes))

    def _join(self, chunk: SharedChunk, following: SharedChunk | None, want_bytes: int) -> SharedChunk:
        parts, size, records, end = [chunk.data], len(chunk.data), chunk.records, chunk.end
        while _goes_on(following, end) and size + len(following.data) <= want_bytes:
            parts.append(following.data)
            size, records, end = size + len(following.data), records + following.records, following.end
            following = self._chunks.get(end[:3])
        return SharedChunk(b"".join(parts), chunk.start, end, records)

    def _put(self, key: tuple[int, int, int], chunk: SharedChunk) -> SharedChunk:
        before = self._chunks.pop(key, None)
        if before is not None:
            self._let_go(before)
        self._chunks[key] = chunk
        chunk.held_bytes = _ENTRY_BYTES + len(chunk.data) + sum(map(len, chunk.forms.values()))
        self.held_bytes += chunk.held_bytes
        self._shrink()
        return chunk

    def keep(self, position: Position, chunk: Chunk) -> SharedChunk:
        """Keep what was read on from ``position``, which may be the end of the segment before."""
        return self._put(position[:3], SharedChunk(chunk.data, chunk.start, chunk.end, chunk.records))

    def encoded(self, chunk: SharedChunk, encode: Encoder) -> bytes:
        """Return ``encode(data, records)``, made once while the chunk is here."""
        form = chunk.forms.get(encode)
        if form is None:
            form = chunk.forms[encode] = encode(chunk.data, chunk.records)
            if chunk.held_bytes:
                chunk.held_bytes += len(form)
                self.held_bytes += len(form)
                self._shrink()
        return form

    def _shrink(self) -> None:
        while self.held_bytes > self._max_bytes and self._chunks:
            self._let_go(self._chunks.popitem(last=False)[1])

    def _let_go(self, chunk: SharedChunk) -> None:
        self.held_bytes -= chunk.held_bytes
        chunk.held_bytes = 0

    def clear(self) -> None:
        """Forget everything: the log is another one."""
        for chunk in self._chunks.values():
            self._let_go(chunk)
        self._chunks.clear()

    def __len__(self) -> int:
        return len(self._chunks)


def _goes_on(following: SharedChunk | None, end: Position) -> TypeGuard[SharedChunk]:
    """Say whether ``following`` begins at ``end``, in the same segment."""
    return following is not None and following.start == end
