from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_program import Program, eventually, run_program, server_url, start_program
from tests.conftest import ExpectLog
from tests.server.serving import http_get
from tests.support.deadline import wait_until
from yoi_runtime.cli.notice_rate import NoticeRate
from yoi_runtime.cli.operator_log import (
    MAX_FIELD,
    MAX_FIELDS,
    MAX_MESSAGE,
    MAX_STACK,
    LogFormat,
    OperatorLog,
    installed,
    set_up,
)
from yoi_runtime.notices import Notice, named

HOSTILE = 'quote " slash \\ newline\n tab\t escape\x1b[31m nul\x00 c1\x9b del\x7f bidi\u202e line\u2028 half\ud800 日本'


def record(message: str = "x", **extra: Any) -> logging.LogRecord:
    return logging.getLogger("t").makeRecord("t", logging.WARNING, "f", 1, message, (), None, extra=extra)


def as_json(log: OperatorLog, one: logging.LogRecord) -> dict[str, Any]:
    line = log.line(one)
    assert "\n" not in line
    assert line.isascii()
    assert line.isprintable()
    return json.loads(line)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that what is written is put into."""
    lines: list[str] = []
    monkeypatch.setattr(OperatorLog, "_write", staticmethod(lines.append))
    return lines


def test_a_line_of_json_has_time_level_event_message_and_fields():
    one = record("segment %d", **named(Notice.RECORD_DAMAGED, segment=3, ratio=0.5, gone=None, ok=True))
    one.args = (3,)
    found = as_json(OperatorLog(LogFormat.JSON), one)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found.pop("time"))
    assert found == {
        "level": "warning", "event": "record_damaged", "message": "segment 3",
        "segment": 3, "ratio": 0.5, "gone": None, "ok": True,
    }  # fmt: skip


@pytest.mark.parametrize("form", list(LogFormat))
def test_what_steers_a_terminal_never_comes_through(form: LogFormat):
    line = OperatorLog(form).line(record(HOSTILE, **named(Notice.TOLD, text=HOSTILE)))
    assert [
        letter for letter in line if ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 or letter in "\u202e\u2028"
    ] == []
    if form is LogFormat.JSON:
        assert json.loads(line)["text"] == HOSTILE.replace("\ud800", "\\ud800")


def test_messages_fields_and_stacks_are_bounded():
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError("y" * 10_000)

    fields = {f"f{number:02d}": "z" * 10_000 for number in range(100)}
    one = record("x" * 100_000, **named(Notice.TOLD, **fields))
    try:
        deep(100)
    except ValueError as error:
        one.exc_info = (ValueError, error, error.__traceback__)
    found = as_json(OperatorLog(LogFormat.JSON), one)
    assert len(found["message"]) == MAX_MESSAGE + 1
    assert [len(found[name]) for name in fields if name in found] == [MAX_FIELD + 1] * MAX_FIELDS
    assert len(found["stack"]) == MAX_STACK + 1
    assert len(found["stack"][-1]) == MAX_MESSAGE + 1
    assert len(json.dumps(found)) < 16_000


def test_a_stack_names_modules_and_no_directory():
    one = record("x")
    try:
        NoticeRate(burst="many").admits("a", 0.0)  # type: ignore[arg-type]
    except TypeError as error:
        one.exc_info = (TypeError, error, error.__traceback__)
    stack = as_json(OperatorLog(LogFormat.JSON), one)["stack"]
    assert re.fullmatch(r"yoi_runtime/cli/notice_rate\.py:\d+ admits", stack[-2])
    assert [place for place in stack if place.startswith("/")] == []


def test_paths_that_the_operator_gave_are_called_by_their_option(tmp_path: Path):
    inner, link = tmp_path / "data" / "secrets" / "tokens", tmp_path / "link"
    inner.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "data")
    log = OperatorLog(LogFormat.JSON)
    log.hide(link, "DATA_DIR")
    log.hide(inner, "TOKEN_FILE")
    one = record(f"{tmp_path}/data/log/1.jsonl and {link}/x", **named(Notice.TOLD, file=str(inner)))
    found = as_json(log, one)
    assert (found["message"], found["file"]) == ("DATA_DIR/log/1.jsonl and DATA_DIR/x", "TOKEN_FILE")


def test_a_field_cannot_take_the_place_of_the_head():
    found = as_json(OperatorLog(LogFormat.JSON), record("m", **named(Notice.TOLD, event="forged", message="forged")))
    assert (found["event"], found["message"]) == ("told", "m")


def test_what_a_library_logs_has_a_name_too():
    assert as_json(OperatorLog(LogFormat.JSON), record("m"))["event"] == "library"
    assert as_json(OperatorLog(LogFormat.JSON), record("m"))["logger"] == "t"


def test_a_library_that_peers_make_talk_hides_no_other(captured: list[str]):
    log = OperatorLog(LogFormat.JSON, NoticeRate(burst=3, window_seconds=10))
    for name, count in (("tornado.general", 1000), ("asyncio", 2)):
        for _ in range(count):
            log.handle(logging.LogRecord(name, logging.WARNING, "x.py", 1, "m", (), None))
    log.close()
    lines = [json.loads(line) for line in captured]
    assert [line.get("logger") for line in lines[:5]] == ["tornado.general"] * 3 + ["asyncio"] * 2
    assert [(line["of"], line["count"]) for line in lines[5:]] == [("library tornado.general", 997)]


def test_a_flood_is_written_as_a_burst_and_a_count(captured: list[str]):
    now = [0.0]
    log = OperatorLog(LogFormat.JSON, NoticeRate(burst=3, window_seconds=10), lambda: now[0])
    for _ in range(1000):
        log.handle(record("m", **named(Notice.SUBSCRIBER_TOO_SLOW)))
    log.handle(record("m", **named(Notice.LOG_REPLACED)))
    assert [json.loads(line)["event"] for line in captured] == ["subscriber_too_slow"] * 3 + ["log_replaced"]
    now[0] = 11.0
    log.handle(record("m", **named(Notice.LOG_REPLACED)))
    suppressed = json.loads(captured[4])
    assert (suppressed["event"], suppressed["of"], suppressed["count"]) == ("suppressed", "subscriber_too_slow", 997)
    log.close()


def test_a_count_is_written_in_time_also_when_nothing_more_is_logged(captured: list[str]):
    log = OperatorLog(LogFormat.JSON, NoticeRate(burst=1, window_seconds=0.1))
    for _ in range(3):
        log.handle(record("m", **named(Notice.SUBSCRIBER_TOO_SLOW)))
    wait_until(lambda: len(captured) == 2)
    assert json.loads(captured[1])["count"] == 2
    log.close()


@pytest.fixture
def restored() -> Iterator[None]:
    """Put the root logger back as it was: it is everybody's."""
    root, console = logging.getLogger(), logging.getLogger("yoi_runtime.cli")
    handlers, level, console_level = root.handlers[:], root.level, console.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    console.setLevel(console_level)


@pytest.mark.usefixtures("restored")
def test_setting_up_again_takes_the_place_of_the_first_and_keeps_what_is_hidden(tmp_path: Path):
    first = set_up()
    first.hide(tmp_path, "DATA_DIR")
    second = set_up(LogFormat.TEXT, "error")
    assert installed() is second
    assert first not in logging.getLogger().handlers
    assert second.line(record(str(tmp_path))).endswith("DATA_DIR logger=t")
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("library", ["tornado.general", "asyncio"])
def test_loggers_of_libraries_come_through_it(library: str, captured: list[str], expect_log: ExpectLog):
    expect_log(library, "something")
    set_up()
    logging.getLogger(library).warning("something")
    assert len(captured) == 1
    assert f"WARNING library: something logger={library}" in captured[0]


def notices(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.stderr.splitlines()]


def test_with_json_everything_on_stderr_is_a_named_object(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", "127.0.0.1:0", "--log-format", "json", "--log-level", "info"]
    with start_program(tmp_path, "serve", *options, "--worker", "a=sh -c 'exit 3'") as program:
        url = server_url(data, program)
        eventually(lambda: "worker_ended" in program.stderr)
        assert http_get(url, "/healthz").status == 200
        assert program.stop() == 143
        found = {one["event"]: one for one in notices(program)}
    assert list(found) == ["serving", "worker_ended", "stopping", "stopped"]
    assert (found["worker_ended"]["worker_id"], found["worker_ended"]["exit_code"]) == ("a", 3)
    assert found["serving"]["url"] == url
    assert {name for one in found.values() for name in one["event"].split()} <= {notice.value for notice in Notice}
    assert str(tmp_path) not in program.stderr


def test_with_json_the_error_that_ends_the_program_is_an_object_without_the_path(tmp_path: Path):
    (tmp_path / "file").touch()
    data = tmp_path / "file"
    ended = run_program(tmp_path, "serve", "--data-dir", str(data), "--bind", ":0", "--log-format", "json")
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, json.loads(line)["event"]) == (1, "command_failed")
    assert str(tmp_path) not in line


@pytest.mark.parametrize(("option", "value"), [("--log-format", "xml"), ("--log-level", "loud")])
def test_a_wrong_form_or_level_is_wrong_usage(tmp_path: Path, option: str, value: str):
    ended = run_program(tmp_path, "serve", option, value)
    assert ended.returncode == 2
    assert value in ended.stderr
