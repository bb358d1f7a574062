from __future__ import annotations

import json
import re

import pytest

from yoi_runtime.conformance.case import Bookmark, CaughtUp, Diagnose, End, Events, Start
from yoi_runtime.conformance.scripted_log import ScriptedLog
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.frames import DiagnosticFrame, EventFrame, decode_frame
from yoi_runtime.protocol.v1_frames import Bookmark as BookmarkFrame
from yoi_runtime.protocol.v1_frames import CaughtUp as CaughtUpFrame
from yoi_runtime.protocol.v1_frames import End as EndFrame
from yoi_runtime.protocol.v1_frames import Hello
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.record import check_crc


def log(version: str = "v1", worker_id: str | None = "w", name: str = "a") -> ScriptedLog:
    return ScriptedLog(name, ProtocolVersion(version), worker_id, Timing(scale=0.5))


EVENTS = Events(do="events", first=1, last=3)


def test_tokens_and_ids_are_of_the_protocols_form_and_differ():
    tokens = [log(name=name).cursor(place, life) for name in ("a", "b") for place in range(30) for life in (1, 2)]
    ids = [log(name=name).event_id(number, life) for name in ("a", "b") for number in range(30) for life in (1, 2)]
    assert len(set(tokens)) == len(set(ids)) == 120
    assert all(re.fullmatch(r"wo1[A-Za-z0-9_-]{61}", token) for token in tokens)
    assert all(len(event_id) <= 24 for event_id in ids)


@pytest.mark.parametrize("place", [0, 1, 9, 10, 601])
def test_a_place_is_known_by_its_token_and_by_its_event(place: int):
    assert log().place(cursor=log().cursor(place)) == place
    assert log().place(event_id=log().event_id(place)) == place


@pytest.mark.parametrize("token", ["", "wo1", log(name="b").cursor(3), log().cursor(3, life=2), log().cursor(3) + "x"])
def test_no_other_token_names_a_place(token: str):
    assert log().place(cursor=token) is None


@pytest.mark.parametrize("event_id", ["", "-", "a-1", "é-²", log().event_id(3, life=2), "x-99999999999"])
def test_no_other_id_names_a_place(event_id: str):
    assert log().place(event_id=event_id) is None


@pytest.mark.parametrize("worker_id", [None, "w"])
def test_a_record_is_made_as_the_log_makes_them(worker_id: str | None):
    record = log(worker_id=worker_id).record(3, EVENTS)
    frame = decode_frame(record)
    assert isinstance(frame, EventFrame)
    assert (frame.cursor, frame.worker_seq) == (log().cursor(3), 3)
    assert frame.seq == (3 if worker_id is None else 6)
    assert check_crc(record)


def test_a_batch_is_joined_so_that_it_can_be_split_without_parsing():
    (batch,) = log().messages(EVENTS.model_copy(update={"batch": True, "text": "a},\n{"}), range(1, 4))
    assert len(batch.split(b",\n")) == 3
    assert len(json.loads(batch)["frames"]) == 3


def test_in_v0_an_unknown_event_of_a_worker_is_wrapped():
    step = EVENTS.model_copy(update={"event": "weather_changed"})
    wrapped = json.loads(log("v0").record(1, step))["envelope"]["payload"]
    assert (wrapped["event"], wrapped["data"]["item"]["event"]) == ("system_item", "weather_changed")
    assert json.loads(log("v1").record(1, step))["envelope"]["payload"]["event"] == "weather_changed"


def test_unknown_fields_stand_everywhere():
    frame = json.loads(log().record(1, EVENTS.model_copy(update={"unknown_fields": True})))
    for holder in (frame, frame["envelope"], frame["envelope"]["payload"]["data"]):
        assert "from_a_newer_runtime" in holder


def test_the_first_frame_is_that_of_version_and_scope():
    start = Start(do="start", heartbeat_ms=700)
    hello = Hello.model_validate_json(log().start(start, 3))
    assert (hello.resumed_from, hello.heartbeat_ms, hello.scope.worker_id) == (log().cursor(3), 700, "w")
    snapshot = decode_frame(log("v0").start(start, 3))
    assert isinstance(snapshot, EventFrame)
    assert snapshot.is_synthetic
    opened = decode_frame(log("v0", None).start(start, 3))
    assert isinstance(opened, DiagnosticFrame)
    assert opened.diagnostic.resume_cursor == log().cursor(3)


def test_the_frames_of_v1_are_its_own():
    assert CaughtUpFrame.model_validate_json(log().caught_up(CaughtUp(do="caught_up", at=3))).replayed == 3
    assert BookmarkFrame.model_validate_json(log().bookmark(Bookmark(do="bookmark", at=3))).cursor == log().cursor(3)
    assert EndFrame.model_validate_json(log().end(End(do="end", at=3, outcome="lost"))).outcome == "lost"


def test_a_diagnostic_comes_from_the_protocols_table_and_delays_are_scaled():
    step = Diagnose(do="diagnostic", code="runtime.cursor_expired", requested=3, oldest=9, lost_events=6)
    frame = decode_frame(log().diagnostic(step))
    assert isinstance(frame, DiagnosticFrame)
    assert frame.diagnostic.recovery == "resnapshot"
    assert frame.diagnostic.lost is not None
    assert frame.diagnostic.lost.events == 6
    told = json.loads(log().diagnostic(Diagnose(do="diagnostic", code="runtime.weather", retry_after_ms=1000)))
    assert told["diagnostic"]["retry_after_ms"] == 500
    assert told["diagnostic"]["code"] == "runtime.weather"
