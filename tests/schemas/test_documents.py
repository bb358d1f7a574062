"""The published schemas: current, sound, as open as the protocol and no wider."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.metadata import version
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.codebase.tree import ROOT
from tests.events.examples import FULL, TOKEN, record
from tests.golden.make_frames import frames_of, golden_streams
from tests.schemas.wire_judge import WireJudge
from tools.schemas.__main__ import DIRECTORY, documents, main
from tools.schemas.asyncapi import NOT_OF_STREAMS, asyncapi
from tools.schemas.definitions import definitions, validator_schema
from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.events import EVENT_CLASSES, TextDone, UnknownEvent, encode_payload, traced, wrap_for_v0
from yoi_runtime.protocol import http_models, v1_frames
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode, diagnostic
from yoi_runtime.protocol.stream_request import parse_stream_request
from yoi_runtime.protocol.versions import ProtocolVersion

_LOCK = ROOT / "tools" / "requirements.lock"


@cache
def _validator(name: str, strict: bool) -> Draft202012Validator:
    return Draft202012Validator(validator_schema(name, strict=strict))


def is_valid(name: str, content: object, *, strict: bool = False) -> bool:
    return _validator(name, strict).is_valid(content)


def test_the_committed_files_are_current():
    if _LOCK.exists() and f"\npydantic=={version('pydantic')} " not in _LOCK.read_text("utf-8"):
        pytest.skip("another pydantic than the lock's may describe the same models in other words")
    for name, text in documents().items():
        current = (DIRECTORY / name).read_text("utf-8") == text
        assert current, f"docs/schemas/{name} is not current: python3 tools/dev.py schemas"
    assert {path.name for path in DIRECTORY.iterdir()} == set(documents())


def test_check_finds_a_stale_file_and_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tools.schemas.__main__.DIRECTORY", tmp_path)
    assert main([]) == 0
    assert main(["--check"]) == 0
    stale = tmp_path / "asyncapi.json"
    stale.write_text("{}")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/schemas/asyncapi.json: not current\n"
    assert stale.read_text() == "{}"
    assert main([]) == 0
    assert stale.read_text() == documents()["asyncapi.json"]


@pytest.mark.parametrize("strict", [False, True])
def test_every_definition_is_sound_and_refers_to_nothing_that_is_not_there(strict: bool):
    found = definitions(strict=strict)
    Draft202012Validator.check_schema({"$defs": found})
    for name, schema in found.items():
        assert schema["description"], name
        for target in _references(schema):
            assert target.removeprefix("#/$defs/") in found, (name, target)


def _references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*map(_references, schema.values()))
    return set().union(*map(_references, schema)) if isinstance(schema, list) else set()


def test_every_model_of_the_wire_and_every_event_has_its_definition():
    found = definitions()
    models = {*http_models.__all__, *(name for name in v1_frames.__all__ if name[0].isupper() and not name.isupper())}
    assert models <= set(found)
    payloads = {f"{cls.__name__}Payload" for cls in EVENT_CLASSES.values()} | {"UnknownEventPayload"}
    choices = {
        choice["$ref"].removeprefix("#/$defs/") for choice in found["Envelope"]["properties"]["payload"]["oneOf"]
    }
    assert choices == payloads
    assert payloads <= set(found)


@pytest.mark.parametrize("row", FULL, ids=str)
def test_the_published_event_frame_takes_every_event_and_what_a_newer_one_may_add(row):
    frame = json.loads(record(row.json.encode()))
    assert is_valid("EventFrame", frame, strict=True)
    frame["added"] = frame["envelope"]["added"] = 1
    assert is_valid("EventFrame", frame)
    assert not is_valid("EventFrame", frame, strict=True)


def _changed(frame: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(frame)
    *way, last = path.split(".")
    at = changed
    for step in way:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kind", "Event"),
        ("crc", "ABCDEF01"),
        ("crc", ...),
        ("envelope.cursor", ""),
        ("envelope.cursor", "x" * 65),
        ("envelope.cursor", "with space"),
        ("envelope.event_id", "x" * 25),
        ("envelope.seq", 0),
        ("envelope.seq", 2**64),
        ("envelope.seq", "1"),
        ("envelope.worker_id", "a/b"),
        ("envelope.worker_id", ...),
        ("envelope.worker_seq", 0),
        ("envelope.time", "2026-11-22T17:37:23Z"),
        ("envelope.payload", {"event": "text_delta"}),
        ("envelope.payload.data.text", 1),
    ],
)
def test_an_event_frame_that_breaks_a_bound_is_refused(path: str, value: object):
    frame = json.loads(record(b'{"event":"text_delta","data":{"text":"hi"}}'))
    assert is_valid("EventFrame", frame)
    assert not is_valid("EventFrame", _changed(frame, path, value))


def test_a_code_a_severity_and_a_recovery_of_a_newer_server_are_allowed_and_nonsense_is_not():
    frame = json.loads(diagnostic(DiagnosticCode.CURSOR_EXPIRED, "m", oldest_cursor=TOKEN).frame())
    assert is_valid("DiagnosticFrame", frame, strict=True)
    for member, word in (("code", "runtime.worker_moved"), ("severity", "notice"), ("recovery", "wait")):
        newer = _changed(frame, f"diagnostic.{member}", word)
        assert is_valid("DiagnosticFrame", newer)
        assert not is_valid("DiagnosticFrame", newer, strict=True)
        assert not is_valid("DiagnosticFrame", _changed(frame, f"diagnostic.{member}", "Not A Word"))


def test_what_is_left_out_is_never_null():
    assert not is_valid("DiagnosticFrame", {"kind": "diagnostic", "diagnostic": {"code": "runtime.internal"}})
    frame = json.loads(diagnostic(DiagnosticCode.INTERNAL, "m").frame())
    assert not is_valid("DiagnosticFrame", _changed(frame, "diagnostic.lost", None))


# AsyncAPI


def test_the_parameters_are_those_that_a_request_may_have():
    for name, channel in asyncapi()["channels"].items():
        parameters = channel["bindings"]["ws"]["query"]["properties"]
        offered = ["yoi.events.v1"] if name.endswith("V1") else []
        for parameter, schema in parameters.items():
            value = schema.get("enum", ["a"])[0]
            parse_stream_request(None, [(parameter, value)], offered)
        missing = {"cursor", "last_event_id", "from", "batch", "events"} - set(parameters)
        for parameter in missing:
            with pytest.raises(RequestInvalidError):
                parse_stream_request(None, [(parameter, "1")], offered)


def test_every_code_is_among_the_ends_and_refusals_of_some_channel_and_every_message_in_some_channel():
    content = asyncapi()
    channels = content["channels"].values()
    told = {row["diagnostic"] for channel in channels for row in channel["x-close-codes"] if "diagnostic" in row}
    told |= {row["diagnostic"] for channel in channels for row in channel["x-refusals"]}
    assert told == set(CODE_SPECS) - NOT_OF_STREAMS
    spoken = {name for channel in channels for name in channel["messages"]}
    assert spoken == set(content["components"]["messages"])
    for message in content["components"]["messages"].values():
        name = message["payload"]["$ref"].removeprefix("./wire.schema.json#/$defs/")
        assert name in definitions()


def test_the_messages_of_a_channel_are_the_frames_that_come_there():
    kinds = {name: message["payload"]["$ref"].rpartition("/")[2] for name, message in _messages().items()}
    for stream in golden_streams():
        scope = "everything" if stream.worker_id is None else "worker"
        spoken = asyncapi()["channels"][f"{scope}{stream.version.value.upper()}"]["messages"]
        for frame in frames_of(stream):
            content = json.loads(frame)
            assert any(is_valid(kinds[name], content, strict=True) for name in spoken), frame


def _messages() -> dict[str, Any]:
    return asyncapi()["components"]["messages"]


def test_the_published_edition_takes_every_golden_frame_and_one_with_more_in_it():
    judged = 0
    for stream in golden_streams():
        name = "FrameV0Everything" if stream.worker_id is None else "FrameV0Worker"
        name = "FrameV1" if stream.version is ProtocolVersion.V1 else name
        for frame in frames_of(stream):
            content = json.loads(frame)
            assert is_valid(name, content), frame
            assert is_valid(name, {**content, "added": {"by": "a newer server"}}), frame
            judged += 1
    assert judged > 200


def test_a_frame_with_a_trace_is_one_and_so_is_a_wrapped_one():
    judge = WireJudge()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for event in (TextDone(text="x"), UnknownEvent(name="brain_wave", data=1)):
        record = (
            b'{"kind":"event","envelope":{"cursor":"wo1x","event_id":"a-1","seq":1,"worker_id":"a","worker_seq":1,'
            b'"time":"2026-11-22T00:00:00.000000Z","payload":%s},"crc":"00000000"}'
            % encode_payload(traced(event, trace))
        )
        judge.frame(record, ProtocolVersion.V1, None)
        judge.frame(wrap_for_v0(record), ProtocolVersion.V0, "a")
    assert judge.judged == 4
