"""Golden frames: what a peer in the field was written against is still sent, is still read, and is what the schemas say."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.conftest import ExpectLog
from tests.golden.make_frames import FRAMES, GoldenStream, frames_of, golden_streams, served
from tests.schemas.wire_judge import WireJudge
from yoi_runtime.events import EVENT_CLASSES, UPSTREAM_EVENT_NAMES, decode_record
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import DiagnosticCode
from yoi_runtime.protocol.frames import DiagnosticFrame, EventFrame, UnknownFrame, decode_frame
from yoi_runtime.protocol.versions import ProtocolVersion

STREAMS = tuple(golden_streams())
each_stream = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: f"{stream.version.value}-{stream.name}")


def apart(frame: bytes) -> list[bytes]:
    """Return the frames in ``frame``: a batch is taken apart without parsing, as the protocol promises."""
    start, end = b'{"kind":"batch","frames":[', b"]}"
    return frame[len(start) : -len(end)].split(b",\n") if frame.startswith(start) else [frame]


def without_message(frame: bytes) -> bytes:
    """Blank out what a diagnostic says to people, which is free to change."""
    return re.sub(rb'"message":"(?:[^"\\]|\\.)*"', b'"message":""', frame) if b'"diagnostic"' in frame[:24] else frame


@each_stream
async def test_a_server_sends_the_same_bytes_today(stream: GoldenStream, tmp_path: Path, expect_log: ExpectLog):
    if stream.name == "record_corrupt":
        expect_log("yoi_runtime.server", "damaged record")
    data_dir = Path(shutil.copytree(stream.data_dir, tmp_path / "data"))
    sent = await served(stream, data_dir)
    if stream.batch:
        assert frames_of(stream)[0] in sent
    else:
        assert [without_message(frame) for frame in sent] == [without_message(frame) for frame in frames_of(stream)]


@each_stream
def test_the_schemas_describe_them_and_their_checksums_are_right(stream: GoldenStream):
    judge = WireJudge()
    for frame in frames_of(stream):
        judge.frame(frame, stream.version, stream.worker_id)
    for frame in frames_of(stream):
        for single in apart(frame):
            if b',"crc":"' in single:
                covered, _, rest = single.rpartition(b',"crc":"')
                assert int(rest[:8], 16) == crc32(covered)
    assert judge.judged == len(frames_of(stream))


@each_stream
def test_our_client_reads_them_today(stream: GoldenStream):
    for frame in frames_of(stream):
        for single in apart(frame):
            found = decode_frame(single)
            match json.loads(single)["kind"]:
                case "event":
                    assert isinstance(found, EventFrame)
                    if not found.is_synthetic:
                        assert decode_record(single).event_id == found.event_id
                case "diagnostic":
                    assert isinstance(found, DiagnosticFrame)
                    assert isinstance(found.diagnostic.code, DiagnosticCode)
                case _:
                    assert isinstance(found, UnknownFrame) or stream.version is ProtocolVersion.V1


def test_no_file_is_without_its_stream():
    assert set(FRAMES.glob("v?/*")) == {stream.path for stream in STREAMS}


def test_every_kind_of_frame_every_event_and_every_answer_to_a_cursor_is_among_them():
    kinds: Counter[tuple[str, str]] = Counter()
    names: Counter[str] = Counter()
    codes: set[str] = set()
    for stream in STREAMS:
        for frame in frames_of(stream):
            content: dict[str, Any] = json.loads(frame)
            kinds[stream.version.value, content["kind"]] += 1
            if content["kind"] == "event" and stream.version is ProtocolVersion.V1:
                names[content["envelope"]["payload"]["event"]] += 1
            codes |= {content["diagnostic"]["code"]} if content["kind"] == "diagnostic" else set()
    sys.stdout.write(f"{sum(kinds.values())} golden messages: {dict(kinds)}; {len(names)} event names\n")
    assert {kind for version, kind in kinds if version == "v0"} == {"event", "diagnostic"}
    v1 = {"hello", "event", "batch", "caught_up", "bookmark", "end", "diagnostic"}
    assert {kind for version, kind in kinds if version == "v1"} == v1
    # The one that no Runtime writes stands in repaired logs alone.
    assert set(names) == set(EVENT_CLASSES) - {"lost"} | {"brain_wave", "brain_silence"}
    in_stream = {f"runtime.{code.name.lower()}" for code in CloseCode if code.name.startswith("CURSOR_")}
    assert codes == in_stream | {"runtime.stream_opened", "runtime.record_corrupt", "runtime.shutting_down"}


def test_what_upstreams_client_cannot_decode_is_wrapped():
    stream = next(stream for stream in STREAMS if stream.name == "worker" and stream.version is ProtocolVersion.V0)
    payloads = [json.loads(frame)["envelope"]["payload"] for frame in frames_of(stream)[:-1]]
    assert {payload["event"] for payload in payloads} == UPSTREAM_EVENT_NAMES
    items = [payload["data"]["item"] for payload in payloads if payload["event"] == "system_item"]
    wrapped = [item["event"] for item in items if item["kind"] == "yoi.event"]
    assert wrapped == ["events_lost", "brain_wave", "brain_silence"]
