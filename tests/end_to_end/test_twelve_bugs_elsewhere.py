"""Twelve bugs that users of the nearest systems met, each as a test that this server has to pass.

Each docstring names the public report. What took an hour or a gigabyte there is scaled down here (small segments,
buffers and limits): the code that runs is the same, and no test waits for a clock.
"""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.end_to_end.accounted_backend import AccountedBackend, Kind, Truth
from tests.end_to_end.programs import runtime_process, server_process, until_known
from tests.end_to_end.test_slow_peers import is_stuck
from tests.event_log.quick_files import QuickFiles
from tests.faults.failing_files import FailingFiles
from tests.runtime.emitting import emit
from tests.server.raw_peer import RawPeer
from tests.server.serving import SMALL, Serving, records_of, serving, stream_path
from tests.server.v1_peer import v1_subscribed
from tests.support.damage import damage
from tests.support.deadline import wait_until_async
from yoi_runtime.errors import LogBrokenError, LogFullError
from yoi_runtime.events import Status, TextDelta, UnknownEvent
from yoi_runtime.protocol.versions import SUBPROTOCOL_V1
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.cursor import CursorToken, decode_token, encode_token
from yoi_runtime.segment_log.platform import Platform

KINDS = [
    Kind(None),
    Kind("a"),
    Kind(None, "v1"),
    Kind("a", "v1"),
    Kind(None, "v1", batch=True),
    Kind("a", "v1", batch=True),
]
# Many rolls, and no power cut.
QUICK = Platform(files=QuickFiles())
WRITTEN = RuntimeOptions(segment_bytes=1 << 20, durability="written")


async def completed(backend: AccountedBackend, served: Serving) -> None:
    """Let a Backend come to the end of the log, with as many returns as that takes, and settle its account."""
    while not backend.is_complete():
        if not backend.connected:
            await backend.finish()
            await backend.connect(served.server.url, backend.how_to_resume()[0])
        await wait_until_async(lambda: backend.is_complete() or not backend.connected, message=str(backend))
        backend.raise_if_wrong()
    backend.settle()
    await backend.drop()


@asynccontextmanager
async def first_frame(served: Serving, kind: Kind, **query: str) -> AsyncIterator[tuple[RawPeer, dict[str, Any]]]:
    """Connect, and return the peer with the first frame that it got."""
    subprotocol = SUBPROTOCOL_V1 if kind.version == "v1" else None
    pairs = "&".join(f"{name.rstrip('_')}={value}" for name, value in query.items())
    target = f"{stream_path(kind.scope)}?{pairs}"
    with await RawPeer.connect(served.server.url, target, subprotocol=subprotocol) as peer:
        yield peer, await peer.json()


async def refused(served: Serving, kind: Kind, token: str) -> dict[str, Any]:
    """Return the diagnostic that answers a cursor, with the close code that came after it."""
    async with first_frame(served, kind, cursor=token) as (peer, frame):
        assert set(frame) == {"kind", "diagnostic"}, frame
        opcode, payload = await peer.frame()
    problem = frame["diagnostic"]
    assert (opcode, payload[2:].decode()) == (8, problem["code"])
    return {**problem, "close_code": int.from_bytes(payload[:2], "big")}


async def assert_opens(served: Serving, kind: Kind, token: str) -> None:
    async with first_frame(served, kind, cursor=token) as (_, frame):
        assert frame["kind"] in ("hello", "event") or frame["diagnostic"]["code"] == "runtime.stream_opened", frame


async def test_01_append_while_subscribing_leaves_no_gap_and_doubles_nothing(tmp_path: Path, truth: Truth):
    """10,000 random steps of append, subscribe, leave and yield, on sockets.

    rivet-dev/sandbox-agent copies its ring, lets go of the lock, and only then subscribes; dunglas/mercure#178 and
    bluesky-social/jetstream-legacy#42 lost or doubled events in the same gap. server/test_subscriber.py does it
    without sockets, to every turn of the event loop.
    """
    chance = random.Random(1)
    counts: Counter[str] = Counter()
    async with serving(tmp_path, WRITTEN) as served:
        workers = [await served.worker("a"), await served.worker("b")]
        backends: list[AccountedBackend] = []
        for step in range(10_000):
            match chance.choices(("append", "subscribe", "leave", "yield"), (40, 5, 6, 49))[0]:
                case "append":
                    chance.choice(workers).emit(TextDelta(text=str(step)))
                case "subscribe":
                    backends.append(AccountedBackend(chance.choice(KINDS), truth, counts))
                    await backends[-1].connect(served.server.url, chance.choice(({}, {}, {"from": "oldest"})))
                case "leave" if len(backends) > 3:
                    await backends.pop(chance.randrange(len(backends))).drop()
                case _:
                    await asyncio.sleep(0)
        for worker in workers:
            emit(worker, 1)
        for backend in backends:
            await completed(backend, served)
    assert counts["connected from now"] > 100
    assert counts["connected by from"] > 100
    assert counts["events received"] > 10_000


async def test_02_a_quiet_worker_beside_a_hundred_times_the_retention_keeps_its_place(
    tmp_path: Path, truth: Truth, quick_bookmarks: None
):
    """Connected or away, in both versions; and what is really gone is told to the event.

    HareK02/yoi v0 kept one ring for all Workers: a chatty one pushed out a quiet one's cursor, or, when all of the
    quiet one's events were gone, nobody noticed. Kubernetes and etcd (etcd-io/etcd#20262) needed bookmarks for it.
    """
    counts: Counter[str] = Counter()
    kinds = [Kind("a"), Kind("a", "v1"), Kind("a", "v1", batch=True)]
    async with serving(tmp_path, SMALL, QUICK) as served:
        quiet, noisy = await served.worker("a"), await served.worker("noisy")
        early = emit(quiet, 5)
        await served.shown(early[-1])
        connected = [AccountedBackend(kind, truth, counts) for kind in kinds]
        away = [AccountedBackend(kind, truth, counts) for kind in kinds]
        for backend in (*connected, *away):
            await backend.connect(served.server.url, {"from": "oldest"})
            await wait_until_async(backend.is_complete)
        for backend in away:
            await backend.drop()
        for _ in range(10):
            for _ in range(11):
                served.rotate_out_all_before_now(noisy)
                await asyncio.sleep(0)
            await served.shown(emit(noisy, 1)[0])
            for backend in away:
                await assert_opens(served, backend.kind, str(backend.cursor))
            for kind in kinds:
                for number, cursor in enumerate(early, start=1):
                    if number == len(early):
                        await assert_opens(served, kind, cursor)
                        continue
                    problem = await refused(served, kind, cursor)
                    assert problem["code"] == "runtime.cursor_expired"
                    assert (problem["lost"]["events"], problem["lost"]["exact"]) == (len(early) - number, True)
                # On the stream of everything others' events count, each of them.
                problem = await refused(served, kind._replace(scope=None), early[-1])
                lost = decode_token(problem["oldest_cursor"]).seq - decode_token(early[-1]).seq
                assert (problem["lost"]["events"], problem["lost"]["exact"]) == (lost, True)
        # Ten a second while nothing comes.
        await wait_until_async(lambda: counts["frames: bookmark"] > 10)
        assert all(backend.connected for backend in connected), "nobody was sent away"
        assert served.segments()[0].name > f"{100 * 3:020d}", "as much as meant"
        emit(quiet, 1)
        for backend in (*connected, *away):
            await completed(backend, served)
            assert not backend.lost


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_03_rotation_that_overtakes_a_connected_reader_is_told_and_never_jumped_over(
    kind: Kind, tmp_path: Path, truth: Truth, small_buffers: None
):
    """The account of the Backend compares the receipt with the list of appends.

    etcd-io/etcd#17529: a slow watcher missed events after a compaction, without a word.
    """
    counts: Counter[str] = Counter()
    async with serving(tmp_path, RuntimeOptions(segment_bytes=4096, retain_segments=20), QUICK) as served:
        worker, other = await served.worker("a"), await served.worker("b")
        backend = AccountedBackend(kind, truth, counts)
        await backend.connect(served.server.url, {"from": "oldest"})
        for _ in range(3):
            emit(worker, 10)
            await served.shown(emit(other, 1)[0])
            await completed_by_reading_on(backend)
            before = counts["runtime.cursor_expired in mid-stream"]
            backend.pause()
            # Until the server waits for the peer to take what was written.
            stuck = 0

            def is_stuck_for_good(served: Serving = served, worker: Worker = worker) -> bool:
                # The kernels pass a little more on for a moment after the first write that was not taken whole.
                nonlocal stuck
                emit(worker, 1, size=300)
                stuck = stuck + 1 if is_stuck(served) else 0
                return stuck >= 20

            await wait_until_async(is_stuck_for_good)
            for _ in range(3):
                emit(worker, 3, size=500)
                served.rotate_out_all_before_now(other)
                emit(worker, 3, size=500)
                await served.shown(emit(other, 1)[0])
            backend.go_on()
            await wait_until_async(lambda: not backend.connected)
            backend.raise_if_wrong()
            assert counts["runtime.cursor_expired in mid-stream"] == before + 1
            await backend.finish()
            await backend.connect(served.server.url, backend.how_to_resume()[0])
        await completed(backend, served)
    assert counts["receipts: exact"] >= 3
    assert counts["events lost and announced"] > 30


async def completed_by_reading_on(backend: AccountedBackend) -> None:
    await wait_until_async(lambda: backend.is_complete() or not backend.connected)
    backend.raise_if_wrong()
    assert backend.is_complete()


async def test_04_after_a_restart_old_cursors_resume_and_those_of_a_lost_tail_are_ahead(tmp_path: Path):
    """A clean restart, a torn tail, and a tail that the disk lost; no place and no id is given to a second event.

    Hal0ai/hal0#785 and G-Research/bobbit#529: numbers began anew with the process, and old cursors passed as good.
    """
    data_dir = tmp_path / "data"
    async with serving(data_dir) as served:
        kept = emit(await served.worker("a"), 3)
        await served.shown(kept[-1])
    async with runtime_process(data_dir, durability="written") as runtime:
        (known,) = (await runtime.do("emit", worker="a", texts=["known"]))["cursors"]
        segment = max((data_dir / "log").glob("*.jsonl"))
        marker, length = (data_dir / "log" / "COMMITTED").read_bytes(), segment.stat().st_size
        lost = (await runtime.do("emit", worker="a", texts=["lost"] * 4))["cursors"]
        ids = {record["event_id"] for record in records_of(data_dir)}
        await runtime.kill()
    damage(segment, lambda data: data.__delitem__(slice(length + 150, None)))
    (data_dir / "log" / "COMMITTED").write_bytes(marker)
    async with serving(data_dir) as served:
        worker = await served.worker("a")
        for _ in range(3):
            await served.shown(emit(worker, 3)[-1])
            for kind in KINDS:
                for cursor in (*kept, known):
                    await assert_opens(served, kind, cursor)
                for cursor in lost:
                    problem = await refused(served, kind, cursor)
                    assert (problem["code"], problem["close_code"]) == ("runtime.cursor_ahead", 4411)
        records = records_of(data_dir)
        assert not {record["cursor"] for record in records} & set(lost)
        again = [record for record in records if record["seq"] > decode_token(CursorToken(known)).seq]
        assert not {record["event_id"] for record in again} & ids, "a number may come again, an id never"


async def test_05_a_log_directory_that_was_swapped_is_foreign_and_not_expired(tmp_path: Path, expect_log: ExpectLog):
    """While the server runs: whoever is connected is told as well.

    Centrifugo and Mercure tell such a log from a shortened one by an epoch; systems with bare numbers (NATS, Redis
    Streams, Jetstream v1) go on in the middle of another history.
    """
    expect_log("yoi_runtime.server", "replaced by another")
    expect_log("yoi_runtime.runtime", "could not be written")
    async with serving(tmp_path / "other") as other:
        await other.shown(emit(await other.worker("a"), 50)[-1])
    # Whoever writes there finds out within a second of writing, and says so at the latest at its end.
    with pytest.raises(LogBrokenError, match="removed or replaced"):  # noqa: PT012 - raised by the end of the block
        async with serving(tmp_path / "live") as served:
            cursor = emit(worker := await served.worker("a"), 3)[-1]
            await served.shown(cursor)
            async with first_frame(served, Kind("a", "v1"), from_="now") as (peer, _):
                assert (await peer.json())["kind"] == "caught_up"
                shutil.rmtree(tmp_path / "live")
                shutil.move(tmp_path / "other", tmp_path / "live")
                frames = [await peer.json()]
                while frames[-1]["kind"] != "diagnostic":
                    frames.append(await peer.json())
            assert [frame["kind"] for frame in frames] == ["diagnostic"]
            assert frames[0]["diagnostic"]["code"] == "runtime.unavailable"
            await wait_until_async(lambda: served.view.ready and served.view.log_id == other.runtime.log_id)
            for kind in KINDS:
                problem = await refused(served, kind, cursor)
                assert (problem["code"], problem["close_code"]) == ("runtime.cursor_foreign", 4409)
                assert problem["recovery"] == "resnapshot"
                assert "lost" not in problem
            await wait_until_async(lambda: emit(worker, 1) and served.runtime.figures.failure is not None)


@pytest.mark.timeout(180)
async def test_06_stalled_sockets_cost_no_memory_and_nobody_elses_time(
    tmp_path: Path, expect_log: ExpectLog, truth: Truth
):
    """Twenty megabytes pass while five peers read nothing: an hour of 1,000 events/s, scaled; the limit is 0.5 s for 20.

    anomalyco/opencode#31923 and #19423 (24 and 187 GB of queues); OpenHands/software-agent-sdk#3151.
    """
    expect_log("yoi_runtime.server", "4508")
    counts: Counter[str] = Counter()
    kinds = [Kind(None), Kind(None, "v1"), Kind("a"), Kind("a", "v1", batch=True), Kind(None, "v1", batch=True)]
    # A cache that is full before it begins: what grows then is what somebody holds for the stalled.
    async with serving(tmp_path, WRITTEN, stall_seconds=600.0, cache_bytes=1 << 20) as served:
        worker = await served.worker("a")
        stalled = [AccountedBackend(kind, truth, counts) for kind in kinds]
        await served.shown(emit(worker, 4000, size=1000)[-1])
        for backend in stalled:
            await backend.connect(served.server.url, {"from": "oldest"})
            backend.pause()
        delays, held = [], []
        loop = asyncio.get_running_loop()
        async with served.subscribed("a") as well:
            await well.snapshot()
            before = _resident_bytes()
            for _ in range(400):
                began = loop.time()
                emit(worker, 50, size=1000)
                await well.events(50)
                delays.append(loop.time() - began)
                held += [len(socket._outlet._stream._write_buffer or b"") for socket in served.server._state.sockets]
            grown = _resident_bytes() - before
            assert sum(socket._outlet.write_pending for socket in served.server._state.sockets) == len(stalled)
        assert max(held) < 400 << 10
        assert grown < 24 << 20
        assert sorted(delays)[len(delays) // 2] < 0.1
        # One after the other: whoever is cut off has 5 s to wake up, and the machine may be busy.
        served.server._state.stall_seconds = 0.5
        for backend in stalled:
            await backend.drop()
        for backend in stalled:
            await wait_until_async(lambda: not served.server.subscribers)
            await backend.connect(served.server.url, backend.how_to_resume()[0])
            backend.pause()
            await wait_until_async(lambda: _cut_off(served) == 1, 20)
            # It wakes up in the grace, and finds word at the end of what it had been sent.
            backend.go_on()
            await wait_until_async(lambda backend=backend: not backend.connected, 20)  # type: ignore[misc]
            backend.raise_if_wrong()
            assert not backend.is_complete()
        assert counts["runtime.consumer_too_slow in mid-stream"] == len(stalled)
        for backend in stalled:
            came = len(backend.received)
            await backend.connect(served.server.url, backend.how_to_resume()[0])
            # Its account sees whether it goes on where it was.
            await wait_until_async(lambda backend=backend, came=came: len(backend.received) > came)  # type: ignore[misc]
            backend.raise_if_wrong()
            await backend.drop()


def _cut_off(served: Serving) -> int:
    """Return how many sockets the server has said goodbye to."""
    return sum(socket.ws_connection is None for socket in served.server._state.sockets)


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where nobody tells."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096
    except OSError:
        return 0


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_07_a_reader_a_whole_retention_behind_catches_up_at_twice_the_live_rate(
    kind: Kind, tmp_path: Path, small_buffers: None
):
    """It reads two events for each that is written, and the floor rises under it all the while.

    bluesky-social/indigo#975: the relay cut off readers for being behind, while they were catching up.
    """
    options = RuntimeOptions(segment_bytes=4096, retain_segments=20)
    async with serving(tmp_path, options, QUICK) as served:
        worker = await served.worker("a")
        while len(served.segments()) < 20:
            emit(worker, 1, size=100)
        await served.shown(emit(worker, 1)[0])
        behind = served.view.end.seq - served.view.floor().seq
        query = {"from_": "oldest"} | ({"batch": "1"} if kind.batch else {})
        async with first_frame(served, kind, **query) as (peer, _):
            numbers: list[int] = []
            kinds: list[str] = []
            appended = 0
            end = served.view.end.seq
            while not numbers or numbers[-1] < end:
                (last,) = emit(worker, 1, size=100)
                appended += 1
                await served.shown(last)
                end, read = served.view.end.seq, 0
                while read < 2 and (not numbers or numbers[-1] < end):
                    frame = await peer.json()
                    frames = frame["frames"] if frame["kind"] == "batch" else [frame]
                    kinds += [frame["kind"] for frame in frames]
                    found = [frame["envelope"]["seq"] for frame in frames if frame["kind"] == "event"]
                    numbers += found
                    read += len(found)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert set(kinds) <= {"event", "caught_up", "bookmark"}
        assert ("caught_up" in kinds) is (kind.version == "v1")
        assert behind / 3 < appended or kind.batch, "it was really behind, and the log went on"


async def test_08_each_answer_to_a_cursor_is_the_same_on_every_endpoint_in_both_versions(tmp_path: Path):
    """Five answers, two versions, two endpoints: status 101, one frame, one close code, and the same fields.

    bluesky-social/indigo#1328 and openai/openai-python#2828: no typed answer, or one that depends on the path.
    """
    chance = random.Random(3)
    async with serving(tmp_path / "one", SMALL) as served, serving(tmp_path / "two") as other:
        worker = await served.worker("a")
        (foreign,) = emit(await other.worker("a"), 1)
        (expired, *_) = emit(worker, 2)
        served.rotate_out_all_before_now(worker)
        good = emit(worker, 2)[0]
        await served.shown(good)
        place = decode_token(good)
        answers: dict[str, tuple[list[str], int, str]] = {
            "malformed": (["", "x", good + "A", good[:-1]], 4400, "fix_request"),
            "foreign": ([foreign], 4409, "resnapshot"),
            "expired": ([expired], 4410, "resnapshot"),
            "ahead": ([encode_token(place._replace(segment=place.segment + 9))], 4411, "resnapshot"),
            "unknown": ([encode_token(place._replace(offset=place.offset - 1))], 4412, "resnapshot"),
        }
        for _ in range(40):
            text = list(good)
            text[chance.randrange(63)] = chance.choice("AZaz09-_")
            if "".join(text) != good:
                answers["malformed"][0].append("".join(text))
        always = {"code", "severity", "message", "retryable", "recovery", "requested_cursor"}
        for answer, (tokens, close_code, recovery) in answers.items():
            for kind in KINDS:
                for token in tokens:
                    problem = await refused(served, kind, token)
                    fields = always | ({"worker_id"} if kind.scope else set())
                    fields |= set() if answer == "malformed" else {"oldest_cursor", "latest_cursor"}
                    fields |= {"lost"} if answer == "expired" else set()
                    assert set(problem) - {"close_code"} == fields
                    assert (problem["code"], problem["close_code"]) == (f"runtime.cursor_{answer}", close_code)
                    assert (problem["recovery"], problem["retryable"]) == (recovery, False)


async def test_09_a_record_that_breaks_off_harms_no_other_and_the_hole_is_told(tmp_path: Path, expect_log: ExpectLog):
    """The disk fills in the middle of a record; a record is far too long; the process is killed in the middle of one.

    can1357/oh-my-pi#8596, elizaOS/eliza#30878: a torn line fused with the next, and both were lost.
    Prism-Shadow/penguin-harness#249: a long record was split by its own writer.
    """
    files = FailingFiles()
    async with serving(tmp_path, platform=Platform(files=files)) as served:
        worker = await served.worker("a")
        async with v1_subscribed(served.server.url, stream_path("a")) as peer:
            await peer.until("caught_up")
            files.write_short(100, name=served.segments()[-1].name)
            files.fail(errno.ENOSPC, "pwrite", name=served.segments()[-1].name, at=2)
            with pytest.raises(LogFullError):
                worker.emit(TextDelta(text="no room for this"))
            assert files.struck == 2
            worker.emit(TextDelta(text="next"))
            worker.emit(TextDelta(text="y" * (1 << 20)))
            last = worker.emit(TextDelta(text="after that"))
            events = await peer.events(5)
    assert [event["worker_seq"] for event in events] == [1, 2, 3, 4, 5]
    names = [event["payload"]["event"] for event in events]
    assert names == ["events_lost", "text_delta", "text_delta", "alert", "text_delta"]
    assert events[0]["payload"]["data"]["count"] == 1
    texts = [event["payload"]["data"].get("text", "") for event in events]
    assert (texts[1], texts[4]) == ("next", "after that")
    assert set(texts[2]) == {"y"}
    assert len(texts[2]) < 256 << 10
    assert "too large" in events[3]["payload"]["data"]["message"]
    async with runtime_process(tmp_path) as runtime:
        await runtime.do("emit", worker="a", texts=["whole"])
        await runtime.kill()
    with max((tmp_path / "log").glob("*.jsonl")).open("ab") as segment:
        segment.write(b'{"kind":"event","envelope":{"cursor":"wo1half a rec')
    async with runtime_process(tmp_path) as runtime, server_process(tmp_path) as server:
        await runtime.do("emit", worker="a", texts=["after the kill"])
        await until_known(server, "a")
        async with v1_subscribed(server.url, stream_path("a"), cursor=last) as peer:
            again = await peer.events(2)
        assert [event["payload"]["data"]["text"] for event in again] == ["whole", "after the kill"]
        assert [event["worker_seq"] for event in again] == [6, 7]


async def test_10_a_cursor_never_opens_another_workers_events(tmp_path: Path, truth: Truth):
    """Cursors of another Worker, of the Runtime and of the stream of everything, and event ids, on every kind of stream.

    GHSA-84j6-jc92-77jm (agentfront/frontmcp#529): a cursor of somebody else's session replayed that session.
    """
    secret = "for nobody but b"
    counts: Counter[str] = Counter()
    async with serving(tmp_path) as served:
        mine, theirs = await served.worker("a"), await served.worker("b")
        for number in range(5):
            mine.emit(TextDelta(text=f"mine {number}"))
            theirs.emit(UnknownEvent(name="x_secret", data={"text": secret}))
        await served.shown(theirs.emit(TextDelta(text=secret)))
        for record in records_of(tmp_path):
            for start in ({"cursor": record["cursor"]}, {"last_event_id": record["event_id"]}):
                for kind in KINDS:
                    if kind.scope is None:
                        continue
                    backend = AccountedBackend(kind, truth, counts)
                    # As if it had come this far: what it gets is held against its own Worker's list.
                    backend.covered = backend.began = record["seq"]
                    assert await backend.connect(served.server.url, start)
                    await wait_until_async(backend.is_complete, message=str(backend))
                    backend.raise_if_wrong()
                    backend.settle()
                    await backend.drop()
        own = [frame for seq, frame in truth.frames.items() if truth.events[seq - 1].worker_id == "a"]
        assert len(own) == 5
        assert set(truth.frames) == {event.seq for event in truth.events if event.worker_id == "a"}
        assert not [frame for frame in own if secret.encode() in frame]


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_11_a_resume_that_is_dropped_before_its_first_frame_three_times_keeps_its_cursor(
    kind: Kind, tmp_path: Path, truth: Truth
):
    """Of a server that is asked in vain nothing is used up; our own client: client/test_follower.py.

    modelcontextprotocol/typescript-sdk#2745: the resume token was gone when a resumed stream brought no event.
    """
    counts: Counter[str] = Counter()
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        emit(worker, 5)
        backend = AccountedBackend(kind, truth, counts)
        await backend.connect(served.server.url, {"from": "oldest"})
        await wait_until_async(backend.is_complete)
        await backend.drop()
        cursor = backend.cursor
        emit(worker, 50)
        for _ in range(3):
            backend.pause()
            await backend.connect(served.server.url, backend.how_to_resume()[0])
            await backend.drop()
            assert backend.cursor == cursor
        await wait_until_async(lambda: served.server.subscribers == 0)
        await completed(backend, served)
        assert not backend.lost


async def test_12_a_state_and_the_stream_from_its_cursor_are_the_whole_once(tmp_path: Path):
    """What is known at a cursor, folded on with the stream from there, equals a fold of everything, at any moment.

    HareK02/yoi v0 sent a snapshot and then replayed the backlog over it: what had been said was shown twice.
    """
    chance = random.Random(5)
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        states: list[tuple[str, dict[str, Any]]] = []
        folded: dict[str, Any] = {"text": "", "status": "idle", "events": 0}
        for _ in range(30):
            cursor = _say_something(worker, chance, folded)
            await served.shown(cursor)
            info = (await served.get("/v1/workers/a")).json["worker"]
            assert (info["status"], info["worker_seq"]) == (folded["status"], folded["events"])
            states.append((info["cursor"], dict(folded)))
        for cursor, state in states:
            # v1: nothing but the events after the cursor.
            async with v1_subscribed(served.server.url, stream_path("a"), cursor=cursor) as peer:
                await peer.until("caught_up")
            events = [frame["envelope"] for frame in peer.log if frame["kind"] == "event"]
            assert _fold(state, events) == folded
            # v0: a snapshot that holds no text, so that nothing is said twice, and the status of now.
            async with served.subscribed("a", cursor=cursor) as peer0:
                snapshot = await peer0.snapshot()
                events = await peer0.events(len(events))
            assert snapshot["payload"]["data"]["entries"] == []
            assert snapshot["payload"]["data"]["status"] == folded["status"]
            assert _fold(state, events) == folded


def _say_something(worker: Worker, chance: random.Random, folded: dict[str, Any]) -> str:
    folded["events"] += 1
    if chance.random() < 0.3:
        folded["status"] = chance.choice(("running", "paused", "idle"))
        return worker.emit(Status(status=folded["status"]))
    text = f"{chance.random()} "
    folded["text"] += text
    return worker.emit(TextDelta(text=text))


def _fold(state: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    found = dict(state)
    for event in events:
        found["events"] += 1
        data = event["payload"]["data"]
        found["text"] += data.get("text", "")
        found["status"] = data.get("status", found["status"])
    return found
