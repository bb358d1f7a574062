"""Where a stream starts: the answer to a cursor, per scope. Decides; sends nothing.

Expiry is exact per scope: a Worker's cursor expires only if an event *of that Worker* after it was
rotated out. Decision: docs/decisions/0004-exact-expiry.md.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.rotation_loss import continues, lost_of_everything, lost_of_worker
from yoi_runtime.errors import CursorExpiredError, CursorUnknownError, LogUnavailableError
from yoi_runtime.protocol.diagnostics import Lost
from yoi_runtime.segment_log.cursor import Cursor, CursorToken, decode_token, worker_tag
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.server.log_view import LogView

__all__ = [
    "Place",
    "StreamExpiredError",
    "after_rotation",
    "place_of_cursor",
    "place_of_event_id",
    "place_of_now",
    "place_of_oldest",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands: ``position``, the token that names it, and the scope's ``worker_seq`` there.

    ``worker_seq`` is None when the place came from a token issued for another scope.
    """

    position: Position
    token: CursorToken
    worker_seq: int | None


class StreamExpiredError(Exception):
    """Events of this scope after the cursor were rotated out; ``lost`` is the receipt, up to ``oldest``.

    The two belong together: at a floor that has risen since, more is lost than the receipt says.
    """

    def __init__(self, lost: Lost, oldest: Place) -> None:
        self.lost = lost
        self.oldest = oldest
        super().__init__(f"{lost.events} events were rotated out")


def place_of_now(view: LogView, worker_id: str | None) -> Place:
    """Return the end of what the view shows."""
    worker_seq = _newest_worker_seq(view, worker_id)
    return Place(view.end, view.token(view.end, worker_id, worker_seq), worker_seq)


async def place_of_oldest(view: LogView, worker_id: str | None) -> Place:
    """Return the floor of the log. Raises ``LogUnavailableError``."""
    # The last listing may be of before the last rotation.
    await view.relist()
    return _place_of_floor(view, worker_id, view.floor())


def _place_of_floor(view: LogView, worker_id: str | None, floor: Position) -> Place:
    state = view.worker(worker_id) if worker_id else None
    gone = state.rotated_out if state is not None else None
    worker_seq: int | None = 0
    if gone is not None:
        worker_seq = gone.last_worker_seq
    known_seq = gone.last_seq if gone is not None else 0
    if worker_id is not None and (
        view.ledger.unaccounted_seq > known_seq or view.ledger.rotated_out.last_seq > floor.seq
    ):
        worker_seq = None
    return Place(floor, view.token(floor, worker_id, worker_seq), worker_seq)


async def place_of_cursor(view: LogView, worker_id: str | None, token: str) -> Place:
    """Return the place that a peer's cursor names, in the scope of its stream.

    Raises:
        CursorMalformedError, CursorForeignError, CursorUnknownError, CursorAheadError: as their names say.
        StreamExpiredError: with the receipt.
        LogUnavailableError: ask again in a moment.
    """
    cursor = decode_token(token)
    worker_seq = _worker_seq_of(cursor, worker_id)
    try:
        # May lie beyond what the view shows: of a moment ago.
        position = view.reader.resolve(cursor)
    except CursorExpiredError:
        await view.relist()
        place = after_rotation(view, worker_id, cursor.seq, worker_seq)
        _check_history(view.ledger, worker_id, cursor.seq, worker_seq, token)
        return place
    return Place(position, CursorToken(token), worker_seq)


async def place_of_event_id(view: LogView, worker_id: str | None, event_id: str) -> Place:
    """Return the place just after an event. Reads up to one segment, in a thread.

    Raises:
        CursorMalformedError, CursorUnknownError: as their names say.
        LogUnavailableError: ask again in a moment.
    """
    position = await asyncio.get_running_loop().run_in_executor(None, _find_event, view, event_id)
    return Place(position, view.token(position, worker_id), None if worker_id else 0)


def _find_event(view: LogView, event_id: str) -> Position:
    # A reader of its own: the view's belongs to the event loop.
    reader = LogReader(view.reader.directory, view.platform)
    try:
        return reader.find_event(event_id)
    finally:
        reader.close()


def after_rotation(view: LogView, worker_id: str | None, seq: int, worker_seq: int | None) -> Place:
    """Go on after event ``seq``, whose segment is gone: at the floor, if this scope lost nothing.

    Raises:
        StreamExpiredError: it lost events; the receipt is exact when ``worker_seq`` or the scope allows it.
        LogUnavailableError: ask again in a moment.
    """
    floor = view.floor()
    ledger = view.ledger
    if worker_id is not None and (ledger.rotated_out.last_seq > floor.seq or ledger.accounted_seq < floor.seq):
        # Counted as gone and not deleted yet, or the other way round: what of whom is gone can be said in a moment.
        raise LogUnavailableError(view.reader.directory, "segments are being rotated out")
    lost = (
        lost_of_everything(ledger, seq, floor.seq)
        if worker_id is None
        else lost_of_worker(ledger, worker_id, seq, worker_seq, floor.seq)
    )
    if lost is not None:
        receipt = Lost(events=lost.events, exact=lost.exact, from_time=lost.from_time, to_time=lost.to_time)
        raise StreamExpiredError(receipt, _place_of_floor(view, worker_id, floor))
    return Place(floor, view.token(floor, worker_id, worker_seq), worker_seq)


def _check_history(ledger: Ledger, worker_id: str | None, seq: int, worker_seq: int | None, token: str) -> None:
    """Refuse a cursor of a lost tail, as far as a Worker's number tells: the segment that would is gone.

    Raises:
        CursorUnknownError: where nothing of the Worker came after the cursor, it had another number.
    """
    if worker_id is None or worker_seq is None or continues(ledger, worker_id, seq, worker_seq):
        return
    raise CursorUnknownError(token, f"event {seq} was lost, and another one bears its number")


def _worker_seq_of(cursor: Cursor, worker_id: str | None) -> int | None:
    if worker_id is None:
        return 0
    return cursor.worker_seq if cursor.worker == worker_tag(worker_id) else None


def _newest_worker_seq(view: LogView, worker_id: str | None) -> int:
    state = view.worker(worker_id) if worker_id else None
    return state.worker_seq if state is not None else 0
