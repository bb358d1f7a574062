"""Makes the golden frames: ``python -m tests.golden.make_frames`` writes what is missing, and changes nothing.

``frames/data`` is a log of format 1 with every event of the vocabulary; ``frames/v0`` and ``frames/v1`` hold, message by
message, what a server sends of it, the same bytes each time: clock and randomness are fixed. A batch, which has newlines
in it, is a file of its own. Peers in the field were written against these bytes. Changing one is a decision: write the
page in docs/decisions, delete the file, and run this.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.events.examples import FULL
from tests.faults.clocks import ManualClock
from tests.golden.make import LEFT_OUT, V1
from tests.server.recording_outlet import RecordingOutlet
from tests.torture.rig import Rig, platform_with
from yoi_runtime.events import (
    RUNTIME_EVENT_NAMES,
    Event,
    RuntimeStarted,
    Status,
    TextDelta,
    TextDone,
    UnknownEvent,
    WorkerCreated,
    WorkerEnded,
    WorkerStarted,
)
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromOldest, Start, StreamRequest
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.runtime.runtime import LOG_DIRECTORY
from yoi_runtime.segment_log.cursor import Cursor, decode_token, encode_token, worker_tag
from yoi_runtime.segment_log.platform import RealFileOps
from yoi_runtime.segment_log.writer import LogOptions
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.subscriber import Subscriber

__all__ = ["FRAMES", "GoldenStream", "frames_of", "golden_streams", "served"]

FRAMES = Path(__file__).parent / "frames"
_DATA = FRAMES / "data"
_OLDEST = FromOldest()
_V0, _V1 = ProtocolVersion.V0, ProtocolVersion.V1
# Of logs that other golden directories hold: past every retention there, and beyond what was written.
_NOWHERE = Cursor("0011223344556677", 1, 0xDEADBEEF, 400, 3, bytes(5), 0)


def _vocabulary() -> Iterable[tuple[Event, str | None]]:
    """Yield every event of the vocabulary, and two of none, with whose it is."""
    yield RuntimeStarted(version="1.0.0", pid=4242), None
    for worker_id in ("agent", "helper"):
        yield WorkerCreated(worker_id=worker_id), None
        yield WorkerStarted(worker_id=worker_id, run=1), None
    for row in FULL:
        yield row.event, None if row.event.event_name in RUNTIME_EVENT_NAMES else "agent"
    yield UnknownEvent(name="brain_wave", data={"hz": 40, "note": "日本語"}), "agent"
    yield UnknownEvent(name="brain_silence"), "agent"
    yield Status(status="running"), "agent"
    yield TextDelta(text="bye"), "helper"
    yield TextDone(text="bye"), "helper"
    yield WorkerEnded(worker_id="helper", outcome="completed", exit_code=0), None


def make_log(data_dir: Path) -> None:
    """Write the log, closed in order."""
    data_dir.parent.mkdir(exist_ok=True)
    clock = ManualClock()
    rig = Rig(platform_with(RealFileOps(), "golden-frames", clock), LogOptions(segment_bytes=8192), data_dir=data_dir)
    for event, worker_id in _vocabulary():
        clock.pass_seconds(0.25)
        rig.log.append(event, worker_id)
    rig.close()
    (data_dir / LOG_DIRECTORY / LEFT_OUT).unlink()


def _token(data_dir: Path, seq: int, /, **changed: int | bytes) -> str:
    """Return the token of the event ``seq``, with parts of it changed."""
    for path in sorted((data_dir / LOG_DIRECTORY).glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n")[1:-1]:
            token = line.split(b'"cursor":"', 1)[1][:63].decode()
            if (cursor := decode_token(token)).seq == seq:
                return encode_token(cursor._replace(**changed))  # type: ignore[arg-type]
    raise LookupError(seq)


@dataclass(frozen=True)
class GoldenStream:
    """One stream: what is asked for, of which log, and the name of its file."""

    name: str
    version: ProtocolVersion
    worker_id: str | None = None
    start: Start = _OLDEST
    events: tuple[str, ...] | None = None
    batch: bool = False
    data_dir: Path = _DATA

    @property
    def path(self) -> Path:
        return FRAMES / self.version.value / f"{self.name}.{'json' if self.batch else 'jsonl'}"

    @property
    def request(self) -> StreamRequest:
        events = frozenset(self.events) if self.events is not None else None
        return StreamRequest(self.version, self.worker_id, self.start, self.batch, events)


def golden_streams() -> Iterable[GoldenStream]:
    """Yield every stream that has a golden file."""
    rotated, corrupt = V1 / "rotated_out", V1 / "corrupt_middle"
    # A place that went, as a client holds it that left after the agent's sixth event.
    agent = worker_tag("agent")
    gone = _token(rotated, 32, segment=1, offset=2000, seq=12, worker=agent, worker_seq=6)
    for version in (_V0, _V1):
        yield GoldenStream("worker", version, "agent")
        yield GoldenStream("everything", version)
        yield GoldenStream("cursor_malformed", version, "agent", FromCursor("wo1tampered"))
        yield GoldenStream("cursor_foreign", version, "agent", FromCursor(encode_token(_NOWHERE)))
        yield GoldenStream("cursor_expired", version, None, FromCursor(gone), data_dir=rotated)
        yield GoldenStream("cursor_expired_worker", version, "agent", FromCursor(gone), data_dir=rotated)
        yield GoldenStream("cursor_ahead", version, None, FromCursor(_token(_DATA, 5, segment=900)))
        yield GoldenStream("cursor_unknown", version, None, FromCursor(_token(_DATA, 5, nonce_prefix=1)))
        yield GoldenStream("event_id_unknown", version, None, FromEventId("AAAAAAAAAAA-5"))
        yield GoldenStream("record_corrupt", version, None, data_dir=corrupt)
    yield GoldenStream("ended", _V1, "helper")
    yield GoldenStream("filtered", _V1, None, events=("status", "worker_ended"))
    yield GoldenStream("batch", _V1, "helper", batch=True)


async def served(stream: GoldenStream, data_dir: Path) -> list[bytes]:
    """Return the messages that a server of this version sends for ``stream``, until it is told to stop."""
    view = LogView(data_dir, data_dir / LOG_DIRECTORY, platform_with(RealFileOps(), "server", ManualClock()))
    await view.start()
    outlet = RecordingOutlet()
    serving = asyncio.create_task(Subscriber(view, stream.request, outlet).run())
    # Everything there is has been shown already: the goodbye comes after the last of it.
    view.begin_closing()
    await asyncio.wait_for(serving, 20)
    await view.close()
    return outlet.messages


def frames_of(stream: GoldenStream) -> list[bytes]:
    """Return the golden messages of ``stream``."""
    data = stream.path.read_bytes()
    return [data] if stream.batch else data.split(b"\n")[:-1]


def _write(stream: GoldenStream) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        messages = asyncio.run(served(stream, Path(shutil.copytree(stream.data_dir, Path(scratch) / "data"))))
    stream.path.parent.mkdir(parents=True, exist_ok=True)
    if stream.batch:
        stream.path.write_bytes(next(message for message in messages if message.startswith(b'{"kind":"batch"')))
    else:
        stream.path.write_bytes(b"".join(message + b"\n" for message in messages))


if __name__ == "__main__":
    if not _DATA.exists():
        make_log(_DATA)
    for missing in [stream for stream in golden_streams() if not stream.path.exists()]:
        _write(missing)
        sys.stdout.write(f"{missing.path}\n")
