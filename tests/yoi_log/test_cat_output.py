from __future__ import annotations

import io
import json

import pytest
from yoi_log.cat_output import CatFormat, make_cat_output
from yoi_log.record_stream import Found

TIME = "2026-11-22T17:37:23.123456Z"


def found(event: str, data: dict | None = None, worker_id: str | None = "coder", seq: int = 1) -> Found:
    payload = json.dumps({"event": event, **({"data": data} if data is not None else {})}, ensure_ascii=False).encode()
    line = b'{"kind":"event","envelope":{"payload":%s}}' % payload
    return Found(line, payload, seq, worker_id, TIME, event)


def shown(form: CatFormat, *records: Found, terminal: bool = False) -> str:
    stdout = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    if terminal:
        stdout.isatty = lambda: True  # type: ignore[method-assign]
    output = make_cat_output(form, stdout)
    for record in records:
        output.show(record)
    output.close()
    assert isinstance(stdout.buffer, io.BytesIO)
    return stdout.buffer.getvalue().decode()


DELTA = found("text_delta", {"text": "日本 \u2028 \x9b31m"})


def test_frames_and_payloads_are_the_bytes_of_the_log():
    assert shown("frames", DELTA) == DELTA.line.decode() + "\n"
    assert shown("payloads", DELTA) == DELTA.payload.decode() + "\n"


@pytest.mark.parametrize("form", ["frames", "payloads"])
def test_on_a_terminal_controls_are_written_as_escapes(form: CatFormat):
    text = shown(form, DELTA, terminal=True)
    assert "\x9b" not in text
    assert "\u2028" not in text
    assert "\\u009b" in text
    assert json.loads(text)


@pytest.mark.parametrize("terminal", [False, True])
def test_text_looks_as_tail_shows_it_and_steers_no_terminal(terminal: bool):
    text = shown(
        "text", found("text_delta", {"text": "one "}), found("text_delta", {"text": "two\x1b[2J"}), terminal=terminal
    )
    assert "one two␛[2J\n" in text
    assert "\x1b[2J" not in text
    assert "coder" in text
