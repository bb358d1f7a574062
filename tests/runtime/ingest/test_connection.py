"""What a peer says and is answered, over a real socket to a real Runtime, and what is in the log then."""

from __future__ import annotations

import errno
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.event_log.quick_files import QuickFiles
from tests.event_log.written_events import check_numbers, envelopes_in, lines_in
from tests.faults.failing_files import FailingFiles
from tests.faults.small_disk import SmallDisk
from tests.runtime.ingest.peer import Peer, peer_of, refuse_none, text
from tests.runtime.sample_runtime import SMALL, open_runtime
from tests.support.deadline import wait_until
from yoi_runtime.errors import LogBrokenError
from yoi_runtime.events import Alert, Event, TextDone, UnknownEvent, WorkerEnded, WorkerStarted
from yoi_runtime.runtime.ingest import connection
from yoi_runtime.runtime.ingest.key_history import KeyHistory
from yoi_runtime.runtime.ingest.key_window import KeyWindows
from yoi_runtime.runtime.ingest.lines import RefusalCode
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import FileOps

END = {"kind": "end"}
LISTENING = replace(SMALL, ingest=True)


@contextmanager
def listening(data_dir: Path, files: FileOps | None = None, options: RuntimeOptions = LISTENING) -> Iterator[Runtime]:
    with open_runtime(data_dir, options, files or QuickFiles()) as runtime:
        yield runtime


def said_by(data_dir: Path, worker_id: str = "coder") -> list[Event]:
    return [envelope.payload for envelope in envelopes_in(data_dir / "log") if envelope.worker_id == worker_id]


def texts_of(data_dir: Path, worker_id: str = "coder") -> list[str]:
    return [event.text for event in said_by(data_dir, worker_id) if isinstance(event, TextDone)]


def ends_in(data_dir: Path) -> list[tuple[str, int | None]]:
    events = [envelope.payload for envelope in envelopes_in(data_dir / "log")]
    return [(event.outcome, event.exit_code) for event in events if isinstance(event, WorkerEnded)]


def keys_in(data_dir: Path) -> list[str]:
    payloads = [json.loads(line)["envelope"]["payload"] for line in lines_in(data_dir / "log")]
    return [payload["key"] for payload in payloads if "key" in payload]


def test_a_worker_from_hello_to_end(tmp_path: Path):
    with listening(tmp_path) as runtime, peer_of(tmp_path) as peer:
        answer = peer.hello(command=["agent", "--fast"])
        assert (answer["log_id"], answer["worker_id"], answer["run"]) == (runtime.log_id, "coder", 1)
        assert runtime.running_workers() == ["coder"]
        answers = peer.ask(
            {"event": "text_done", "data": {"text": "a\u2028b"}},
            {"event": "brain_wave", "data": {"hz": 40}, "key": "k"},
            {"text": "c"},
            {"kind": "end", "outcome": "failed", "exit_code": 3},
        )
        assert [answer["line"] for answer in answers] == [2, 3, 4, 5]
        cursors = refuse_none(answers[:-1])
        assert answers[-1]["kind"] == "ended"
        assert peer.rest() == []
        assert runtime.running_workers() == []
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    mine = [envelope for envelope in envelopes if envelope.worker_id == "coder"]
    assert [envelope.cursor for envelope in mine] == cursors
    assert [envelope.payload for envelope in mine] == [
        TextDone(text="a\u2028b"),
        UnknownEvent(name="brain_wave", data={"hz": 40}),
        TextDone(text="c"),
    ]
    started = next(event for event in (e.payload for e in envelopes) if isinstance(event, WorkerStarted))
    assert started.command == ("agent", "--fast")
    assert ends_in(tmp_path) == [("failed", 3)]


def test_all_lines_may_be_sent_before_the_first_answer_is_read(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        peer.say({"kind": "hello", "protocol": "yoi.ingest.v1", "worker_id": "coder"}, *map(text, range(500)), END)
        answers = peer.rest()
    assert [answer["line"] for answer in answers] == list(range(1, 503))
    assert Counter(answer["kind"] for answer in answers) == {"hello": 1, "ack": 500, "ended": 1}
    assert texts_of(tmp_path) == [f"number {number}" for number in range(500)]


def test_lines_may_come_in_any_pieces(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        lines = b'{"kind":"hello","protocol":"yoi.ingest.v1","worker_id":"coder"}\r\n{"text":"\xe2\x82\xac"}\n{"kind":"end"}\n'
        for index in range(len(lines)):
            peer.send(lines[index : index + 1])
        assert [answer["kind"] for answer in peer.rest()] == ["hello", "ack", "ended"]
    assert texts_of(tmp_path) == ["€"]


def test_a_bad_line_costs_itself_alone_and_its_answer_stands_in_its_place(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        peer.hello()
        peer.send(
            b'{"text":"a"}\n'
            b"not json\n"
            b'{"event":"text_done","data":{"text":1}}\n'
            b'{"event":"worker_ended","data":{"worker_id":"coder","outcome":"completed"}}\n'
            b'{"text":"b","key":"not a key"}\n'
            b'{"text":"' + b"x" * (1 << 20) + b'"}\n'
            b'{"text":"b"}\n'
        )
        answers = [peer.hear() for _ in range(7)]
        assert peer.ask(END)[0]["kind"] == "ended"
    assert [(answer["line"], answer.get("code", answer["kind"])) for answer in answers] == [
        (2, "ack"),
        (3, "line_invalid"),
        (4, "event_invalid"),
        (5, "event_reserved"),
        (6, "key_invalid"),
        (7, "line_too_long"),
        (8, "ack"),
    ]
    assert texts_of(tmp_path) == ["a", "b"]
    assert str(tmp_path) not in json.dumps(answers)


def test_an_event_too_large_is_cut_or_refused(tmp_path: Path):
    big: dict[str, Any] = {"event": "own", "data": list(range(60_000))}
    with listening(tmp_path), peer_of(tmp_path) as peer:
        peer.hello()
        answers = peer.ask({"text": "x" * 300_000, "key": "long"}, {"text": "b"}, big, {"text": "c"})
        peer.ask(END)
    assert [answer.get("code", answer["kind"]) for answer in answers] == ["ack", "ack", "event_too_large", "ack"]
    assert str(tmp_path) not in json.dumps(answers)
    long, alert, *rest = said_by(tmp_path)
    assert isinstance(long, TextDone)
    assert 200_000 < len(long.text) < 262_144
    assert isinstance(alert, Alert)
    assert rest == [TextDone(text="b"), TextDone(text="c")]
    assert keys_in(tmp_path) == ["long"]


@pytest.mark.parametrize("what", ["nothing", "half a line", "after a bad line", "half a hello"])
def test_a_connection_that_goes_without_an_end_leaves_its_worker_crashed(tmp_path: Path, what: str):
    with listening(tmp_path) as runtime:
        with peer_of(tmp_path) as peer:
            if what == "half a hello":
                peer.send(b'{"kind":"hello","protocol":"yoi.in')
            else:
                peer.hello()
                refuse_none(peer.ask({"text": "a"}))
                peer.send({"nothing": b"", "half a line": b'{"text":"b"}', "after a bad line": b"bad\n"}[what])
        with peer_of(tmp_path) as peer:
            wait_until(lambda: not runtime.running_workers())
            assert peer.hello("other")["kind"] == "hello"
            peer.ask(END)
    expected = [("completed", None)] if what == "half a hello" else [("crashed", None), ("completed", None)]
    assert ends_in(tmp_path) == expected
    assert texts_of(tmp_path) == ([] if what == "half a hello" else ["a"])


def test_who_has_sent_all_and_goes_is_heard_to_the_end(tmp_path: Path):
    with listening(tmp_path) as runtime:
        with peer_of(tmp_path) as peer:
            peer.say({"kind": "hello", "protocol": "yoi.ingest.v1", "worker_id": "coder"}, *map(text, range(300)), END)
        wait_until(lambda: ends_in(tmp_path))
        assert runtime.running_workers() == []
    assert ends_in(tmp_path) == [("completed", None)]
    assert len(texts_of(tmp_path)) == 300


def test_who_closes_one_side_still_gets_its_answers(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        peer.say({"kind": "hello", "protocol": "yoi.ingest.v1", "worker_id": "coder"}, *map(text, range(300)))
        peer.socket.shutdown(1)
        assert len(peer.rest()) == 301
    assert ends_in(tmp_path) == [("crashed", None)]


def test_the_same_worker_goes_on_where_it_was(tmp_path: Path):
    with listening(tmp_path):
        for run in range(1, 4):
            with peer_of(tmp_path) as peer:
                assert peer.hello()["run"] == run
                peer.ask(text(run), END)
    with listening(tmp_path), peer_of(tmp_path) as peer:
        assert peer.hello()["run"] == 4
        peer.ask(text(4), END)
    check_numbers(envelopes_in(tmp_path / "log"))
    assert texts_of(tmp_path) == [f"number {run}" for run in range(1, 5)]


def test_a_second_connection_of_a_worker_is_refused_and_does_the_first_no_harm(tmp_path: Path):
    with listening(tmp_path) as runtime, runtime.create_worker("embedded"), peer_of(tmp_path) as first:
        first.hello()
        for worker_id in ("coder", "embedded"):
            with peer_of(tmp_path) as second:
                answer = second.hello(worker_id)
                assert (answer["code"], answer["line"], answer["fatal"]) == ("worker_running", 1, True)
                assert second.rest() == []
        refuse_none(first.ask({"text": "a"}))
        first.ask(END)
        with peer_of(tmp_path) as third:
            assert third.hello()["run"] == 2


def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "HELLO_SECONDS", 0.05)
    with listening(tmp_path), peer_of(tmp_path) as silent:
        assert silent.rest() == []


# Keys.


def test_a_key_counts_once_on_one_connection_also_within_one_batch(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as peer:
        peer.hello()
        answers = peer.ask(text(1, "a"), text(2, "b"), text(3, "a"), text(4), text(5, "b"), text(6, "c"), text(7, "c"))
        cursors = refuse_none(answers)
        peer.ask(END)
    assert [answer.get("repeated", False) for answer in answers] == [False, False, True, False, True, False, True]
    assert cursors[2] == cursors[0]
    assert cursors[4] == cursors[1]
    assert cursors[6] == cursors[5]
    assert texts_of(tmp_path) == ["number 1", "number 2", "number 4", "number 6"]
    assert keys_in(tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["another connection", "a restart", "a forgotten window"])
@pytest.mark.parametrize("durable", [False, True])
def test_a_key_counts_once_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, durable: bool):
    if how == "a forgotten window":
        monkeypatch.setattr("yoi_runtime.runtime.ingest.listener.KeyWindows", lambda: KeyWindows(idle_keys=0))
    with listening(tmp_path) as runtime, peer_of(tmp_path) as peer:
        peer.hello()
        first = refuse_none(peer.ask(*(text(number, f"key-{number}") for number in range(200))))
        peer.close()
        wait_until(lambda: not runtime.running_workers())
        if how != "a restart":
            repeat(tmp_path, first, durable)
    if how == "a restart":
        with listening(tmp_path):
            repeat(tmp_path, first, durable)
    assert texts_of(tmp_path) == [f"number {number}" for number in range(300)]
    check_numbers(envelopes_in(tmp_path / "log"))


def repeat(data_dir: Path, first: list[str], durable: bool) -> None:
    with peer_of(data_dir) as peer:
        peer.hello(durable=durable)
        answers = peer.ask(*(text(number, f"key-{number}") for number in range(300)))
        cursors = refuse_none(answers)
        assert cursors[: len(first)] == first
        assert [answer.get("repeated", False) for answer in answers] == [True] * 200 + [False] * 100
        assert peer.ask(END)[0]["kind"] == "ended"


def test_a_key_of_one_worker_is_none_of_anothers(tmp_path: Path):
    with listening(tmp_path):
        for worker_id in ("a", "b"):
            with peer_of(tmp_path) as peer:
                peer.hello(worker_id)
                assert "repeated" not in peer.ask(text(1, "key"))[0]
                peer.ask(END)


def test_lines_without_keys_before_the_first_with_one_stay_in_order(tmp_path: Path):
    with listening(tmp_path):
        for _ in range(2):
            with peer_of(tmp_path) as peer:
                peer.hello()
                refuse_none(peer.ask(text(1), text(2), text(3, "a"), text(4), text(3, "a")))
                peer.ask(END)
    assert texts_of(tmp_path) == [f"number {number}" for number in (1, 2, 3, 4, 1, 2, 4)]


# The disk.


class HeldFiles(QuickFiles):
    """Syncs wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.waiting = threading.Event()

    def fdatasync(self, fd: int) -> None:
        if not self.go.is_set():
            self.waiting.set()
            assert self.go.wait(30)


def test_durable_acknowledges_what_is_on_the_disk_and_not_before(tmp_path: Path):
    files = HeldFiles()
    with listening(tmp_path, files), peer_of(tmp_path) as durable, peer_of(tmp_path) as quick:
        durable.hello("durable", durable=True)
        quick.hello("quick")
        files.go.clear()
        durable.say({"text": "a"})
        refuse_none(quick.ask({"text": "a"}))
        assert files.waiting.wait(30)
        durable.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            durable.hear()
        durable.socket.settimeout(30)
        files.go.set()
        assert durable.hear()["kind"] == "ack"
        assert durable.ask(END)[0]["kind"] == "ended"
        quick.ask(END)


def test_a_full_disk_holds_the_peer_back_and_loses_nothing(tmp_path: Path):
    disk = SmallDisk(1 << 20, QuickFiles())
    with listening(tmp_path, disk), peer_of(tmp_path) as peer:
        peer.hello()
        refuse_none(peer.ask(text(0)))
        disk.room_bytes = 0
        peer.say(*map(text, range(1, 50)))
        wait_until(lambda: disk.refused > 3)
        peer.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            peer.hear()
        peer.socket.settimeout(30)
        disk.room_bytes = 1 << 20
        refuse_none([peer.hear() for _ in range(49)])
        assert peer.ask(END)[0]["kind"] == "ended"
    assert texts_of(tmp_path) == [f"number {number}" for number in range(50)]
    assert not [event for event in said_by(tmp_path) if event.event_name == "events_lost"]


@pytest.mark.parametrize(
    ("error", "method", "name"),
    [
        (errno.EMFILE, "create", "00000000000000000002.tmp"),
        (errno.EMFILE, "sync_directory", "log"),
        (errno.EINTR, "pwrite", "00000000000000000001.jsonl"),
    ],
)
def test_while_the_system_lacks_something_for_an_append_the_peer_waits(
    tmp_path: Path, error: int, method: str, name: str
):
    files = FailingFiles(QuickFiles())
    with listening(tmp_path, files), peer_of(tmp_path) as peer:
        peer.hello()
        files.fail(error, method, name=name, for_ever=True)
        peer.say(*map(text, range(50)), END)
        wait_until(lambda: files.struck > 2)
        files.heal()
        refuse_none([peer.hear() for _ in range(50)])
        assert peer.hear()["kind"] == "ended"
    assert texts_of(tmp_path) == [f"number {number}" for number in range(50)]
    assert ends_in(tmp_path) == [("completed", None)]


def test_what_a_faulty_disk_took_of_a_batch_counts_once_when_it_is_sent_again(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "events cannot be taken")
    files = FailingFiles(QuickFiles())
    with listening(tmp_path, files) as runtime:
        with peer_of(tmp_path) as peer:
            peer.hello()
            # The first of the batch are in the log when the next segment cannot be made.
            files.fail(errno.EIO, "create", name="00000000000000000002.tmp")
            peer.say(*(text(number, f"key-{number}") for number in range(50)))
            assert peer.rest()[-1]["code"] == "unavailable"
        wait_until(lambda: not runtime.running_workers())
        before = len(texts_of(tmp_path))
        assert 0 < before < 50
        with peer_of(tmp_path) as peer:
            peer.hello()
            answers = peer.ask(*(text(number, f"key-{number}") for number in range(50)))
            refuse_none(answers)
            assert [answer.get("repeated", False) for answer in answers] == [True] * before + [False] * (50 - before)
            peer.ask(END)
    assert texts_of(tmp_path) == [f"number {number}" for number in range(50)]


def test_a_worker_whose_end_the_disk_refused_can_come_again_when_the_disk_is_well(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.runtime", "events cannot be taken")
    files = FailingFiles(QuickFiles())
    with listening(tmp_path, files) as runtime:
        with peer_of(tmp_path) as peer:
            peer.hello()
            files.fail(errno.EIO, "pwrite", name="00000000000000000001.jsonl", for_ever=True)
            peer.say(text(1, "key"))
            assert peer.rest()[-1]["code"] == "unavailable"
        wait_until(lambda: files.struck > 1)
        assert runtime.running_workers() == ["coder"]
        files.heal()
        wait_until(lambda: not runtime.running_workers())
        with peer_of(tmp_path) as peer:
            assert peer.hello()["kind"] == "hello"
            refuse_none(peer.ask(text(1, "key")))
            peer.ask(END)
    assert texts_of(tmp_path) == ["number 1"]
    assert [outcome for outcome, _ in ends_in(tmp_path)] == ["crashed", "completed"]


def test_a_log_that_is_broken_says_so_and_not_where_it_is(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.runtime", "events cannot be taken|could not be written")
    files = FailingFiles(QuickFiles())
    runtime = open_runtime(tmp_path, LISTENING, files)
    with peer_of(tmp_path) as peer:
        peer.hello(durable=True)
        files.fail(errno.EIO, "fdatasync")
        peer.say({"text": "a"})
        answers = peer.rest()
    assert [answer["code"] for answer in answers] == ["unavailable"]
    assert str(tmp_path) not in json.dumps(answers)
    with pytest.raises(LogBrokenError):
        runtime.close()


def test_a_peer_that_does_not_read_its_answers_is_not_read_from(tmp_path: Path):
    """What it sends stops somewhere; as soon as it reads, all goes on and nothing is missing."""
    count = 30_000
    with listening(tmp_path, options=RuntimeOptions(ingest=True)), peer_of(tmp_path) as peer:
        peer.hello()
        peer.socket.setblocking(False)
        data = b"".join(json.dumps(text(number)).encode() + b"\n" for number in range(count))
        sent = send_until_stuck(peer, data)
        assert sent < len(data) / 2
        peer.socket.settimeout(30)
        rest = threading.Thread(target=peer.send, args=[data[sent:]])
        rest.start()
        refuse_none([peer.hear() for _ in range(count)])
        rest.join()
        peer.ask(END)
    print(f"{sent} of {len(data)} bytes were taken while no answer was read")  # noqa: T201  shown by -rA
    assert len(texts_of(tmp_path)) == count


def send_until_stuck(peer: Peer, data: bytes) -> int:
    """Send until the Runtime has taken nothing for a second; return how much it took."""
    view, sent = memoryview(data), 0

    def progress() -> bool:
        nonlocal sent
        try:
            sent += peer.socket.send(view[sent : sent + 65536])
        except BlockingIOError:
            return False
        return True

    while True:
        try:
            wait_until(progress, 1)
        except AssertionError:
            return sent


# The end of the Runtime.


@pytest.mark.parametrize("reconnects", [False, True])
def test_a_runtime_that_stops_says_so_and_whether_the_worker_is_over(tmp_path: Path, reconnects: bool):
    with listening(tmp_path) as runtime, peer_of(tmp_path) as peer:
        peer.hello(reconnects=reconnects)
        refuse_none(peer.ask({"text": "a"}))
        runtime.close()
        assert [answer["code"] for answer in peer.rest()] == ["shutting_down"]
    (end,) = [e.payload for e in envelopes_in(tmp_path / "log") if isinstance(e.payload, WorkerEnded)]
    assert end.outcome == "cancelled"
    assert end.restart_pending is (True if reconnects else None)


# An end that was not answered.


def runs_in(data_dir: Path) -> list[int]:
    events = [envelope.payload for envelope in envelopes_in(data_dir / "log")]
    return [event.run for event in events if isinstance(event, WorkerStarted)]


LINES = [text(number, f"key-{number}") for number in range(50)]
SAID = {"kind": "end", "outcome": "failed", "exit_code": 3}


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("was_written", [True, False])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_an_end_that_was_not_answered_is_said_again_and_no_run_is_begun_for_it(
    tmp_path: Path, durable: bool, was_written: bool, is_restarted: bool
):
    """Without a restart, its connection was lost: the Worker has crashed, as far as the Runtime knows."""
    with listening(tmp_path) as runtime:
        with peer_of(tmp_path) as peer:
            run = peer.hello(durable=durable, reconnects=True)["run"]
            refuse_none(peer.ask(*LINES[:30]))
            peer.say(*LINES[30:], *([SAID] if was_written else []))
            wait_until(lambda: len(texts_of(tmp_path)) == 50)
            if was_written:
                wait_until(lambda: ends_in(tmp_path))
            elif is_restarted:
                runtime.close()
        wait_until(lambda: not runtime.running_workers())
        if not is_restarted:
            end_again(tmp_path, run, durable)
    if is_restarted:
        with listening(tmp_path):
            end_again(tmp_path, run, durable)
    guessed = [] if was_written else [("cancelled", None), ("lost", None)] if is_restarted else [("crashed", None)]
    assert ends_in(tmp_path) == [*guessed, ("failed", 3)]
    assert runs_in(tmp_path) == [1]
    assert texts_of(tmp_path) == [f"number {number}" for number in range(50)]
    check_numbers(envelopes_in(tmp_path / "log"))


def end_again(data_dir: Path, run: int, durable: bool) -> None:
    for _ in range(2):  # and again
        with peer_of(data_dir) as peer:
            answer = peer.hello(durable=durable, reconnects=True, ends_run=run)
            assert (answer["kind"], answer["run"]) == ("hello", run)
            *answers, ended = peer.ask(*LINES[30:], SAID)
            refuse_none(answers)
            assert [answer["repeated"] for answer in answers] == [True] * 20
            assert ended["kind"] == "ended"
            assert peer.rest() == []


@pytest.mark.parametrize("has_key", [True, False])
def test_who_comes_to_end_a_run_and_has_news_begins_another(tmp_path: Path, has_key: bool):
    with listening(tmp_path):
        with peer_of(tmp_path) as peer:
            peer.hello()
            refuse_none(peer.ask(*LINES[:10]))
            peer.ask(END)
        with peer_of(tmp_path) as peer:
            peer.hello(ends_run=1, command=["agent"])
            assert runs_in(tmp_path) == [1]
            answers = peer.ask(*LINES[5:10], text(10, "key-10" if has_key else None), *LINES[8:12], END)
            assert answers.pop()["kind"] == "ended"
            refuse_none(answers)
            assert [answer.get("repeated", False) for answer in answers] == [
                *([True] * 5 + [False] + [True] * 2),
                *([True, False] if has_key else [False, False]),
            ]
        # Which was a run like any other: it goes without an end, and has crashed.
        with peer_of(tmp_path) as peer:
            peer.hello(ends_run=2)
            refuse_none(peer.ask(text(99, "key-99")))
        wait_until(lambda: len(ends_in(tmp_path)) == 3)
    assert runs_in(tmp_path) == [1, 2, 3]
    assert [outcome for outcome, _ in ends_in(tmp_path)] == ["completed", "completed", "crashed"]


def test_a_run_that_is_not_the_workers_newest_is_not_ended_again(tmp_path: Path):
    with listening(tmp_path), peer_of(tmp_path) as unknown, peer_of(tmp_path) as old:
        assert unknown.hello("nobody", ends_run=1)["run"] == 1
        unknown.ask(END)
        assert old.hello("nobody", ends_run=7)["run"] == 2
        # While it runs nobody else ends it, nor comes in its stead.
        with peer_of(tmp_path) as second:
            assert second.hello("nobody", ends_run=2)["code"] == "worker_running"
        old.ask(SAID)
    assert ends_in(tmp_path) == [("completed", None), ("failed", 3)]


@pytest.mark.parametrize("what", ["end", "event"])
def test_who_comes_to_end_a_run_makes_way_for_whoever_is_the_worker_meanwhile(tmp_path: Path, what: str):
    said = END if what == "end" else text(2, "key-2")
    with listening(tmp_path), peer_of(tmp_path) as late:
        with peer_of(tmp_path) as peer:
            peer.hello()
            peer.ask(text(1, "key-1"), END)
        late.hello(ends_run=1)
        late.ask(text(1, "key-1"))
        with peer_of(tmp_path) as other:
            other.hello()
            (answer,) = late.ask(said)
            assert (answer["code"], answer["fatal"]) == ("worker_running", True)
            other.ask(END)
        with peer_of(tmp_path) as late_again, peer_of(tmp_path) as other:
            late_again.hello(ends_run=2)
            late_again.ask(text(1, "key-1"))
            # What it had looked up before somebody else was the Worker is looked up again.
            other.hello()
            (cursor,) = refuse_none(other.ask(text(2, "key-2")))
            other.ask({"kind": "end", "outcome": "cancelled"})
            (answer,) = late_again.ask(said)
            if what == "event":
                assert (answer["cursor"], answer["repeated"]) == (cursor, True)
                late_again.ask(END)
            else:
                assert answer["kind"] == "ended"
    outcomes = [outcome for outcome, _ in ends_in(tmp_path)]
    assert outcomes == ["completed", "completed", "cancelled", *(["completed"] if what == "event" else [])]
    assert texts_of(tmp_path) == ["number 1", "number 2"]


def test_who_comes_to_end_a_run_leaves_the_keys_to_whoever_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with listening(tmp_path):
        with peer_of(tmp_path) as peer:
            peer.hello()
            refuse_none(peer.ask(*LINES[:10]))
            peer.ask(END)

        def read_again(*_: object) -> None:
            raise AssertionError("the keys are in memory")

        monkeypatch.setattr(KeyHistory, "newest_of", read_again)
        # Without news; with news, of which it is the only author; and as any Worker.
        for ends_run, lines in ((1, LINES[:10]), (1, LINES[:11]), (None, LINES[:11])):
            with peer_of(tmp_path) as peer:
                peer.hello(ends_run=ends_run)
                refuse_none(peer.ask(*lines))
                peer.ask(END)
    assert texts_of(tmp_path) == [f"number {number}" for number in range(11)]
    assert runs_in(tmp_path) == [1, 2, 3]


def test_who_comes_to_end_a_run_and_goes_again_changes_nothing(tmp_path: Path):
    with listening(tmp_path) as runtime:
        with peer_of(tmp_path) as peer:
            peer.hello()
            peer.ask(END)
        with peer_of(tmp_path) as peer:
            peer.hello(ends_run=1)
        with peer_of(tmp_path) as peer:
            peer.hello(ends_run=1)
            runtime.close()
            assert [answer["code"] for answer in peer.rest()] == ["shutting_down"]
    assert (runs_in(tmp_path), ends_in(tmp_path)) == ([1], [("completed", None)])


# What is counted.


def test_events_refusals_connections_and_who_waits_are_counted(tmp_path: Path):
    disk = SmallDisk(1 << 20, QuickFiles())
    with listening(tmp_path, disk) as runtime:
        counts = runtime.worker_counts.ingest
        assert set(counts.refused) == {code.value for code in RefusalCode}
        with peer_of(tmp_path) as peer:
            peer.hello()
            assert counts.connections == 1
            refuse_none(peer.ask(text(1, "a"), text(2, "b"), text(1, "a")))
            peer.ask(*([{"text": 1}] * 2), {"event": "own", "data": list(range(60_000))}, {"text": "c", "key": "?"})
            with peer_of(tmp_path) as second:
                second.hello()
            assert (counts.accepted, counts.repeated, counts.waiting) == (2, 1, 0)
            disk.room_bytes = 0
            peer.say(text(3), END)
            wait_until(lambda: disk.refused > 1)
            wait_until(lambda: counts.waiting == 1)
            disk.room_bytes = 1 << 20
            assert [peer.hear()["kind"] for _ in range(2)] == ["ack", "ended"]
        wait_until(lambda: counts.connections == 0)
        assert (counts.accepted, counts.waiting) == (3, 0)
        refused = {code: count for code, count in counts.refused.items() if count}
        assert refused == {"event_invalid": 2, "event_too_large": 1, "key_invalid": 1, "worker_running": 1}
