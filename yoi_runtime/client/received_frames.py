"""The frames of v1 as a client takes them, from a Runtime of this version or a newer one, and the taking apart of batches.

Only what a client acts on has to be there; everything else may be missing. Specification: docs/protocol.md, "v1".
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from pydantic_core import from_json, to_json

from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.protocol.v1_frames import BATCH_END, BATCH_JOINT, BATCH_START

__all__ = [
    "ReceivedBookmark",
    "ReceivedCaughtUp",
    "ReceivedEnd",
    "ReceivedHello",
    "frames_in",
    "frames_of_batch",
    "parse_v1_frame",
]

_Text: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
_Count: TypeAlias = Annotated[StrictInt, Field(ge=0)]


# Together the joint of a batch.
_END_OF_LINE: Final = BATCH_JOINT[-1:]
_COMMA: Final = BATCH_JOINT[:-1]
_LAST_BYTE: Final = itemgetter(slice(-1, None))
_WITHOUT_COMMA: Final = itemgetter(slice(None, -1))


class _Received(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _ReceivedScope(_Received):
    worker_id: StrictStr | None = None


class ReceivedHello(_Received):
    """Where the stream begins, and how often something comes."""

    resumed_from: _Text
    scope: _ReceivedScope | None = None
    heartbeat_ms: _Count | None = None
    runtime_id: StrictStr | None = None
    log_id: StrictStr | None = None


class ReceivedCaughtUp(_Received):
    """All that was in the log when the stream began has been sent."""

    cursor: _Text
    replayed: _Count | None = None


class _ReceivedBehind(_Received):
    events: _Count
    bytes: _Count


class ReceivedBookmark(_Received):
    """A cursor without an event."""

    cursor: _Text
    worker_seq: _Count | None = None
    behind: _ReceivedBehind | None = None


class ReceivedEnd(_Received):
    """The Worker has ended."""

    worker_id: _Text
    outcome: _Text
    cursor: _Text


_FrameT = TypeVar("_FrameT", bound=_Received)


def parse_v1_frame(model: type[_FrameT], kind: str, raw: bytes) -> _FrameT:
    """Read a frame that is known to be JSON and of that kind.

    Raises:
        FrameInvalidError: a member is missing or of the wrong type.
    """
    try:
        return model.model_validate(from_json(raw))
    except ValidationError as error:
        raise FrameInvalidError(f"{kind} frame, {first_complaint(error)}") from None


def frames_in(message: bytes) -> Sequence[bytes]:
    """Return the frames of one message: those of a batch, or the message itself.

    A batch in the form that the protocol lays down is split at its joints, which occur nowhere inside of a frame;
    any other message comes back whole, see ``frames_of_batch``.
    """
    if not (message.startswith(BATCH_START) and message.endswith(BATCH_END)):
        return (message,)
    body = message[len(BATCH_START) : -len(BATCH_END)]
    # By one byte, and the other then taken off: 0.36 µs a frame of 500 bytes, where looking for both took 0.48.
    *lines, last = body.split(_END_OF_LINE)
    if {*map(_LAST_BYTE, lines)} <= {_COMMA}:
        return [*map(_WITHOUT_COMMA, lines), last]
    return body.split(BATCH_JOINT)


def frames_of_batch(message: bytes) -> Sequence[bytes]:
    """Return the frames of a batch that is written in another way.

    Raises:
        FrameInvalidError: it holds no list of objects.
    """
    batch = from_json(message)
    frames = batch.get("frames") if isinstance(batch, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise FrameInvalidError("batch frame, frames: not a list of objects")
    return [to_json(frame) for frame in frames]
