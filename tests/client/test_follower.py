"""Coming back: what the follower asks for, when, and when it stops. Against a scripted Runtime over real sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tests.client.scripted_runtime import (
    FakeTime,
    Refusal,
    Script,
    ScriptedRuntime,
    States,
    Step,
    closing,
    drop,
    event,
    fall_silent,
    opened,
    problem,
    snapshot,
    until,
)
from tests.support.deadline import wait_until_async
from yoi_runtime.client.observe import EventStream, observe
from yoi_runtime.client.resume import ResumeAt
from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import (
    RequestInvalidError,
    StreamConnectError,
    StreamFrameError,
    StreamGapError,
    StreamRefusedError,
    WorkerIdInvalidError,
)
from yoi_runtime.protocol.diagnostics import DiagnosticCode, Lost, Recovery

CODES = DiagnosticCode


def follow(runtime: ScriptedRuntime, worker_id: str | None = "a", **options: Any) -> EventStream[Any]:
    return observe(runtime.url, worker_id, **{"settings": FakeTime().settings()} | options)


async def take(stream: EventStream[Any], count: int) -> list[str]:
    """Return the cursors of the next ``count`` events."""
    async with asyncio.timeout(20):
        return [(await anext(stream)).cursor for _ in range(count)]


async def take_all(stream: EventStream[Any]) -> list[str]:
    """Return the cursors of all events up to the error, which is raised."""
    async with asyncio.timeout(20):
        return [item.cursor async for item in stream]


# Where the next connection begins.


async def test_after_a_drop_it_goes_on_behind_the_last_event():
    async with ScriptedRuntime(
        [snapshot("c0"), event(1), event(2), drop],
        [snapshot("c2"), event(3), closing(1001)],
        [snapshot("c3"), event(4)],
    ) as runtime:
        async with follow(runtime) as stream:
            assert await take(stream, 4) == ["c1", "c2", "c3", "c4"]
        assert runtime.queries == [{}, {"cursor": "c2"}, {"cursor": "c3"}]


async def test_a_resume_that_is_dropped_before_its_first_frame_keeps_its_cursor():
    async with ScriptedRuntime(
        [snapshot("c0"), event(1), drop], [drop], [drop], [closing(1001)], [snapshot("c1"), event(2)]
    ) as runtime:
        async with follow(runtime, cursor="c0") as stream:
            assert await take(stream, 2) == ["c1", "c2"]
        assert runtime.queries == [{"cursor": "c0"}] + [{"cursor": "c1"}] * 4


async def test_a_given_cursor_is_kept_when_the_very_first_connections_bring_nothing():
    async with ScriptedRuntime([drop], Refusal(503), [snapshot("c7"), event(8)]) as runtime:
        async with follow(runtime, cursor="c7") as stream:
            assert await take(stream, 1) == ["c8"]
        assert runtime.queries == [{"cursor": "c7"}] * 3


async def test_without_an_event_it_goes_on_where_the_stream_was_opened():
    """Otherwise everything that happens until it is back would be missing, in silence."""
    async with ScriptedRuntime([drop], [snapshot("c5"), drop], [snapshot("c5"), event(6)]) as runtime:
        async with follow(runtime) as stream:
            assert await take(stream, 1) == ["c6"]
        assert runtime.queries == [{}, {}, {"cursor": "c5"}]


async def test_the_stream_of_everything_is_opened_by_a_diagnostic():
    async with ScriptedRuntime([opened("c5"), drop], [opened("c5"), event(6)]) as runtime:
        async with follow(runtime, None) as stream:
            assert await take(stream, 1) == ["c6"]
            assert stream.worker_status is None
        assert runtime.queries == [{}, {"cursor": "c5"}]
        assert [asked.path for asked in runtime.asked] == ["/v1/events/ws"] * 2


async def test_from_the_oldest_is_asked_for_until_there_is_a_place():
    async with ScriptedRuntime([drop], [snapshot("floor"), drop], [snapshot("floor"), event(6)]) as runtime:
        async with follow(runtime, start="oldest") as stream:
            assert await take(stream, 1) == ["c6"]
        assert runtime.queries == [{"from": "oldest"}, {"from": "oldest"}, {"cursor": "floor"}]
        assert runtime.asked[0].path == "/v1/workers/a/events/ws"


async def test_a_cursor_goes_before_a_start():
    async with ScriptedRuntime([snapshot("c1"), event(2)]) as runtime:
        async with follow(runtime, cursor="c1", start="oldest") as stream:
            assert await take(stream, 1) == ["c2"]
        assert runtime.queries == [{"cursor": "c1"}]


async def test_what_was_received_before_a_drop_is_handed_over_and_not_asked_for_again():
    """All of it, whether or not the consumer was ready for it."""
    async with ScriptedRuntime(
        [snapshot("c0"), *(event(n) for n in range(1, 51)), drop], [snapshot("c50"), event(51)]
    ) as runtime:
        async with follow(runtime) as stream:
            await wait_until_async(lambda: len(runtime.asked) == 2)
            cursors = await take(stream, 51)
            assert cursors == [f"c{n}" for n in range(1, 52)]
        assert runtime.queries == [{}, {"cursor": "c50"}]


async def test_the_status_is_the_one_of_the_latest_connection():
    async with (
        ScriptedRuntime([snapshot("c0", "running"), event(1), drop], [snapshot("c1", "idle"), event(2)]) as runtime,
        follow(runtime) as stream,
    ):
        assert stream.worker_status is None
        await take(stream, 2)
        assert stream.worker_status == "idle"


async def test_a_status_of_a_newer_runtime_is_not_guessed_at():
    async with (
        ScriptedRuntime([snapshot("c0", "pondering"), event(1)]) as runtime,
        follow(runtime) as stream,
    ):
        await take(stream, 1)
        assert stream.worker_status is None


# Once, and none missing.


async def test_events_that_come_again_over_the_seam_are_handed_over_once():
    async with (
        ScriptedRuntime(
            [snapshot("c0"), event(1), event(2), event(3), drop],
            [snapshot("c1"), event(2), event(3), event(4), event(4), event(5)],
        ) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 5) == ["c1", "c2", "c3", "c4", "c5"]


async def test_a_hole_in_a_workers_stream_is_raised_and_not_handed_over():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), event(2, seq=20), event(4)]) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 2) == ["c1", "c2"]
        with pytest.raises(StreamGapError) as caught:
            await take(stream, 1)
        error = caught.value
        assert (error.expected, error.got, error.numbering) == (3, 4, "worker_seq")
        assert (error.cursor, error.cursor_after, stream.cursor) == ("c2", "c4", "c2")
        assert error.url == f"ws://127.0.0.1:{runtime.port}/v1/workers/a/events/ws"


async def test_a_hole_over_the_seam_is_raised():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), drop], [snapshot("c1"), event(3)]) as runtime,
        follow(runtime) as stream,
    ):
        with pytest.raises(StreamGapError):
            await take_all(stream)
        assert stream.cursor == "c1"


async def test_a_hole_in_the_stream_of_everything_is_raised_though_each_worker_has_none():
    async with (
        ScriptedRuntime(
            [opened("c0"), event(1), event(3, worker_id="b", worker_seq=1)],
        ) as runtime,
        follow(runtime, None) as stream,
    ):
        with pytest.raises(StreamGapError) as caught:
            await take_all(stream)
        assert caught.value.numbering == "seq"


async def test_a_frame_that_cannot_be_read_ends_the_stream_at_a_safe_place():
    for message in ("{", "[]", '{"kind":"event","envelope":{}}', '{"kind":"diagnostic","diagnostic":{}}'):
        async with ScriptedRuntime([snapshot("c0"), event(1), message, event(2)]) as runtime:
            async with follow(runtime) as stream:
                with pytest.raises(StreamFrameError) as caught:
                    await take_all(stream)
                assert (stream.cursor, caught.value.url) == ("c1", stream.url)
            await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_frames_of_a_newer_runtime_are_passed_over():
    async with (
        ScriptedRuntime(
            [snapshot("c0"), '{"kind":"weather","sun":true}', event(1, mood="new"), '{"kind":"end"}', event(2)]
        ) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 2) == ["c1", "c2"]


async def test_a_snapshot_that_is_in_the_log_is_an_event():
    payload = {"event": "snapshot", "data": {"entries": [], "greeting": {}, "status": "idle"}}
    async with (
        ScriptedRuntime([snapshot("c0"), event(1, payload=payload)]) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 1) == ["c1"]
        assert stream.worker_status == "running"


# Refusals.


@pytest.mark.parametrize("code", [CODES.INVALID_REQUEST, CODES.UNAUTHENTICATED, CODES.FORBIDDEN, CODES.ORIGIN_REFUSED])
async def test_a_refusal_before_the_upgrade_is_raised_with_its_diagnostic(code: DiagnosticCode):
    refusal = Refusal(400, problem(code, requested_cursor="c"))
    async with ScriptedRuntime(refusal, refusal) as runtime:
        async with follow(runtime) as stream:
            with pytest.raises(StreamRefusedError) as caught:
                await take(stream, 1)
        assert (caught.value.code, caught.value.diagnostic["requested_cursor"]) == (code.value, "c")


@pytest.mark.parametrize(
    "code",
    [CODES.CURSOR_MALFORMED, CODES.CURSOR_FOREIGN, CODES.CURSOR_EXPIRED, CODES.CURSOR_AHEAD, CODES.CURSOR_UNKNOWN,
     CODES.RECORD_CORRUPT, CODES.OBSERVATION_ONLY],
)  # fmt: skip
async def test_a_refusal_in_the_stream_is_raised_after_the_events_before_it(code: DiagnosticCode):
    sent = problem(code, resume_cursor="c9", lost=Lost(events=3, exact=True))
    async with ScriptedRuntime([snapshot("c0"), event(1), sent.frame(), closing(4499)]) as runtime:
        async with follow(runtime) as stream:
            assert await take(stream, 1) == ["c1"]
            with pytest.raises(StreamRefusedError) as caught:
                await take(stream, 1)
        error = caught.value
        assert (error.code, error.recovery) == (code.value, sent.recovery.value)
        assert error.recovery in (Recovery.FIX_REQUEST, Recovery.RESNAPSHOT, Recovery.RESTART_FROM_OLDEST)
        assert error.lost == {"events": 3, "exact": True}
        assert error.diagnostic["resume_cursor"] == "c9"


async def test_the_same_error_is_raised_again():
    async with ScriptedRuntime(Refusal(401)) as runtime, follow(runtime) as stream:
        for _ in range(2):
            with pytest.raises(StreamRefusedError, match=r"http\.401"):
                await take(stream, 1)


@pytest.mark.parametrize("code", [4400, 4401, 4409, 4410, 4411, 4412, 4413, 4499])
async def test_a_refusing_close_code_is_enough(code: int):
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), closing(code, "anything")]) as runtime,
        follow(runtime) as stream,
    ):
        with pytest.raises(StreamRefusedError, match=str(code)):
            await take_all(stream)


async def test_a_complaint_without_advice_is_judged_by_the_close_code_and_shown():
    complaint = b'{"kind":"diagnostic","diagnostic":{"code":"runtime.quota_used_up","message":"m","shade":"blue"}}'
    async with ScriptedRuntime(
        [snapshot("c0"), complaint, closing(4500)], [snapshot("c0"), complaint, event(1), complaint, closing(4444)]
    ) as runtime:
        async with follow(runtime) as stream:
            assert await take(stream, 1) == ["c1"]
            with pytest.raises(StreamRefusedError) as caught:
                await take(stream, 1)
        assert (caught.value.code, caught.value.diagnostic["shade"]) == ("runtime.quota_used_up", "blue")


async def test_a_complaint_is_forgotten_once_events_come_again():
    complaint = b'{"kind":"diagnostic","diagnostic":{"code":"runtime.hiccup","message":"m"}}'
    async with ScriptedRuntime([snapshot("c0"), complaint, event(1), closing(4444)]) as runtime:
        async with follow(runtime) as stream:
            with pytest.raises(StreamRefusedError) as caught:
                await take_all(stream)
        assert caught.value.code == "close.4444"


# Returning.


@pytest.mark.parametrize(
    "end",
    [drop, closing(1000), closing(1001), closing(1011), closing(1012), closing(4500), closing(4503), closing(4508),
     closing(4000), problem(CODES.SHUTTING_DOWN).frame(), problem(CODES.UNAVAILABLE).frame(),
     problem(CODES.CONSUMER_TOO_SLOW).frame(), problem(CODES.INTERNAL).frame()],
)  # fmt: skip
async def test_an_end_that_is_no_refusal_is_followed_by_a_return(end: Step):
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), end], [snapshot("c1"), event(2)]) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 2) == ["c1", "c2"]


@pytest.mark.parametrize("code", [CODES.UNAVAILABLE, CODES.TOO_MANY_SUBSCRIBERS, CODES.INTERNAL])
async def test_a_passing_refusal_before_the_upgrade_is_waited_out(code: DiagnosticCode):
    async with (
        ScriptedRuntime(Refusal(503, problem(code)), Refusal(502), [snapshot("c0"), event(1)]) as runtime,
        follow(runtime) as stream,
    ):
        assert await take(stream, 1) == ["c1"]


async def test_the_wait_the_runtime_asks_for_is_kept():
    time = FakeTime()
    async with (
        ScriptedRuntime(
            Refusal(503, problem(CODES.UNAVAILABLE, retry_after_ms=2500)),
            Refusal(503, headers={"Retry-After": "4"}),
            [snapshot("c0"), problem(CODES.SHUTTING_DOWN, retry_after_ms=9000).frame()],
            [snapshot("c0"), event(1)],
        ) as runtime,
        follow(runtime, settings=time.settings()) as stream,
    ):
        await take(stream, 1)
    assert time.waits_seconds == [2.75, 4.5, 10]


async def test_waits_grow_though_every_connection_brings_an_event():
    """A Runtime that accepts and drops in a circle is not healthy."""
    time = FakeTime()
    scripts: list[Script] = [[snapshot(f"c{n}"), event(n + 1), drop] for n in range(9)]
    async with (
        ScriptedRuntime(*scripts, [snapshot("c9"), event(10)]) as runtime,
        follow(runtime, settings=time.settings()) as stream,
    ):
        await take(stream, 10)
    assert time.waits_seconds == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_waits_begin_anew_after_ten_seconds_of_health():
    time, gate = FakeTime(), asyncio.Event()
    async with (
        ScriptedRuntime(
            [drop], [drop], [snapshot("c0"), event(1), until(gate), drop], [snapshot("c1"), event(2)]
        ) as runtime,
        follow(runtime, settings=time.settings()) as stream,
    ):
        await take(stream, 1)
        time.now_seconds += 10
        gate.set()
        await take(stream, 1)
    assert time.waits_seconds == [0.25, 0.5, 0.25]


async def test_a_silent_peer_is_left_and_the_stream_goes_on():
    states = States()
    settings = FakeTime().settings(ping_interval_seconds=0.01, ping_timeout_seconds=0.2)
    async with ScriptedRuntime([snapshot("c0"), event(1), fall_silent], [snapshot("c1"), event(2)]) as runtime:
        async with follow(runtime, settings=settings, on_state=states) as stream:
            assert await take(stream, 2) == ["c1", "c2"]
        assert states.reasons == ["no answer to a ping"]
        assert states.codes == ["connection.no_pong"]
        runtime.connections[0].transport.abort()


async def test_a_runtime_that_is_not_there_yet_is_waited_for():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        states = States()
        async with observe(url, settings=FakeTime().settings(), on_state=states):
            await wait_until_async(lambda: len(states.reasons) >= 5)
    assert set(states.reasons) == {"Connection refused"}
    assert set(states.codes) == {"connect.refused"}


async def test_with_max_tries_it_gives_up():
    time = FakeTime()
    async with (
        ScriptedRuntime(Refusal(503), [drop], Refusal(502)) as runtime,
        follow(runtime, settings=time.settings(max_tries=3)) as stream,
    ):
        with pytest.raises(StreamConnectError, match=r"HTTP 502 \(try 3 of 3\)"):
            await take(stream, 1)
    assert time.waits_seconds == [0.25, 0.5]


# A Worker that is not there.


async def test_a_worker_that_never_was_is_a_mistake():
    async with ScriptedRuntime(Refusal(404, problem(CODES.WORKER_NOT_FOUND, worker_id="a"))) as runtime:
        async with follow(runtime) as stream:
            with pytest.raises(StreamRefusedError) as caught:
                await take(stream, 1)
        assert (caught.value.code, caught.value.diagnostic["worker_id"]) == ("runtime.worker_not_found", "a")


async def test_a_worker_is_waited_for_when_asked():
    time = FakeTime()
    missing = Refusal(404, problem(CODES.WORKER_NOT_FOUND), {"Retry-After": "1"})
    async with (
        ScriptedRuntime(missing, missing, [snapshot("c0"), event(1)]) as runtime,
        follow(runtime, wait_for_worker=True, settings=time.settings()) as stream,
    ):
        assert await take(stream, 1) == ["c1"]
    assert time.waits_seconds == [1.25, 1.5]


async def test_a_worker_that_was_there_may_come_back_with_its_runtime():
    missing = Refusal(404, problem(CODES.WORKER_NOT_FOUND))
    async with ScriptedRuntime(
        [snapshot("c0"), event(1), drop],
        missing,
        [problem(CODES.WORKER_NOT_FOUND).frame(), closing(4404)],
        [closing(4404)],
        [snapshot("c1"), event(2)],
    ) as runtime:
        async with follow(runtime) as stream:
            assert await take(stream, 2) == ["c1", "c2"]
        assert runtime.queries == [{}] + [{"cursor": "c1"}] * 4


async def test_a_connection_that_brought_only_a_refusal_does_not_count_as_having_been_there():
    async with (
        ScriptedRuntime(
            [problem(CODES.UNAVAILABLE).frame(), closing(4503)], Refusal(404, problem(CODES.WORKER_NOT_FOUND))
        ) as runtime,
        follow(runtime) as stream,
    ):
        with pytest.raises(StreamRefusedError):
            await take(stream, 1)


# Expiry.


def expired(**fields: Any) -> bytes:
    return problem(CODES.CURSOR_EXPIRED, **fields).frame()


async def test_expiry_is_raised_with_its_receipt_by_default():
    sent = expired(requested_cursor="old", oldest_cursor="floor", lost=Lost(events=12, exact=True))
    async with ScriptedRuntime([sent, closing(4410)]) as runtime:
        async with follow(runtime, cursor="old") as stream:
            with pytest.raises(StreamRefusedError) as caught:
                await take(stream, 1)
            assert stream.cursor == "old"
        assert (caught.value.recovery, caught.value.lost) == ("resnapshot", {"events": 12, "exact": True})


async def test_expiry_can_be_handed_over_as_a_gap_before_what_is_left():
    sent = expired(requested_cursor="old", oldest_cursor="floor", lost=Lost(events=12, exact=True))
    async with ScriptedRuntime([sent, closing(4410)], [snapshot("floor"), event(13), event(14)]) as runtime:
        async with follow(runtime, cursor="old", on_expired="oldest") as stream:
            gap = await anext(stream)
            assert isinstance(gap, StreamGap)
            assert gap.lost is not None
            assert (gap.requested_cursor, gap.cursor, gap.lost.events) == ("old", "floor", 12)
            assert stream.cursor == "old"
            assert await take(stream, 2) == ["c13", "c14"]
        # The floor of the receipt, not "oldest": what is rotated out in between is another gap, with its own receipt.
        assert runtime.queries == [{"cursor": "old"}, {"cursor": "floor"}]


@pytest.mark.parametrize("is_async", [False, True])
async def test_expiry_can_be_answered_by_a_snapshot_taken_anew(is_async: bool):
    sent = expired(requested_cursor="old", oldest_cursor="floor", lost=Lost(events=12, exact=True))
    asked: list[StreamGap] = []

    def resnapshot(gap: StreamGap) -> ResumeAt:
        asked.append(gap)
        return ResumeAt("c20")

    async def resnapshot_later(gap: StreamGap) -> ResumeAt:
        await asyncio.sleep(0)
        return resnapshot(gap)

    async with ScriptedRuntime([sent, closing(4410)], [snapshot("c20"), event(21)]) as runtime:
        async with follow(runtime, cursor="old", on_expired=resnapshot_later if is_async else resnapshot) as stream:
            gap = await anext(stream)
            assert isinstance(gap, StreamGap)
            assert (gap.cursor, gap.lost, asked[0].cursor) == ("c20", asked[0].lost, "floor")
            assert await take(stream, 1) == ["c21"]
        assert runtime.queries == [{"cursor": "old"}, {"cursor": "c20"}]


async def test_a_function_may_refuse_and_what_it_raises_ends_the_stream():
    async with ScriptedRuntime([expired()], [expired()], [expired()]) as runtime:
        async with follow(runtime, cursor="old", on_expired=lambda gap: "raise") as stream:
            with pytest.raises(StreamRefusedError, match="cursor_expired"):
                await take(stream, 1)

        def fail(gap: StreamGap) -> ResumeAt:
            raise KeyError("mine")

        async with follow(runtime, cursor="old", on_expired=fail) as stream:
            with pytest.raises(KeyError, match="mine"):
                await take(stream, 1)
        async with follow(runtime, cursor="old", on_expired=lambda gap: "newest") as stream:
            with pytest.raises(TypeError, match="newest"):
                await take(stream, 1)


async def test_damage_is_a_gap_when_chosen_and_the_stream_goes_on_behind_it():
    sent = problem(CODES.RECORD_CORRUPT, resume_cursor="c9")
    async with ScriptedRuntime(
        [snapshot("c0"), event(1), sent.frame(), closing(4413)], [snapshot("c9"), event(10)]
    ) as runtime:
        async with follow(runtime, on_corrupt="gap") as stream:
            assert await take(stream, 3) == ["c1", "c9", "c10"]
        assert runtime.queries == [{}, {"cursor": "c9"}]


async def test_expiry_in_mid_stream_is_a_gap_between_two_events():
    sent = expired(requested_cursor="c2", oldest_cursor="c7", lost=Lost(events=5, exact=True))
    async with ScriptedRuntime(
        [snapshot("c0"), event(1), event(2), sent, closing(4410)], [snapshot("c7"), event(8)]
    ) as runtime:
        async with follow(runtime, on_expired="oldest") as stream:
            async with asyncio.timeout(20):
                items = [await anext(stream) for _ in range(4)]
        assert [isinstance(item, StreamGap) for item in items] == [False, False, True, False]
        assert [item.cursor for item in items] == ["c1", "c2", "c7", "c8"]


async def test_a_floor_that_expires_before_it_is_reached_is_another_gap():
    first = expired(requested_cursor="old", oldest_cursor="c5", lost=Lost(events=5, exact=True))
    second = expired(requested_cursor="c5", oldest_cursor="c9", lost=Lost(events=4, exact=True))
    async with (
        ScriptedRuntime([first], [second], [snapshot("c9"), event(10)]) as runtime,
        follow(runtime, cursor="old", on_expired="oldest") as stream,
    ):
        assert await take(stream, 3) == ["c5", "c9", "c10"]


async def test_behind_a_gap_without_a_floor_it_starts_from_the_oldest():
    async with ScriptedRuntime([closing(4410)], [snapshot("floor"), event(13)]) as runtime:
        async with follow(runtime, cursor="old", on_expired="oldest") as stream:
            gap = await anext(stream)
            assert (gap.lost, gap.cursor, gap.diagnostic["code"]) == (None, None, "runtime.cursor_expired")
            stream.ack()
            # It gives no place, and takes none away.
            assert stream.cursor in ("old", "floor")
            assert await take(stream, 1) == ["c13"]
        assert runtime.queries == [{"cursor": "old"}, {"from": "oldest"}]


async def test_a_runtime_that_answers_everything_with_expiry_is_not_called_in_a_tight_circle():
    time = FakeTime()
    async with (
        ScriptedRuntime(*[[closing(4410)]] * 5, [snapshot("floor"), event(1)]) as runtime,
        follow(runtime, on_expired="oldest", settings=time.settings()) as stream,
    ):
        await take(stream, 6)
    assert time.waits_seconds == [0.25, 0.5, 1, 2, 4]


async def test_a_restart_does_not_wait_as_long_as_the_reconnects_before_it():
    """The floor moves on: who waits half a minute finds it expired, again and again."""
    time = FakeTime()
    drops: list[Script] = [[snapshot("c0"), drop]] * 6
    answers: list[Script] = [[expired(oldest_cursor="c7")], [snapshot("c7"), event(8), expired(oldest_cursor="c9")]]
    async with (
        ScriptedRuntime(*drops, *answers, [snapshot("c9"), event(10)]) as runtime,
        follow(runtime, on_expired="oldest", settings=time.settings()) as stream,
    ):
        assert await take(stream, 4) == ["c7", "c8", "c9", "c10"]
    assert time.waits_seconds == [0.25, 0.5, 1, 2, 4, 8, 0.25, 0.25]


async def test_damage_is_raised_though_gaps_are_allowed():
    """Starting from the oldest would come to the same damage again, for ever."""
    sent = problem(CODES.RECORD_CORRUPT, resume_cursor="c9")
    async with ScriptedRuntime([snapshot("c0"), event(1), sent.frame(), closing(4413)]) as runtime:
        async with follow(runtime, on_expired="oldest") as stream:
            with pytest.raises(StreamRefusedError) as caught:
                await take_all(stream)
        assert caught.value.diagnostic["resume_cursor"] == "c9"


# What people see.


async def test_states_tell_what_happens_why_and_for_how_long():
    states = States()
    async with ScriptedRuntime(
        Refusal(503, problem(CODES.UNAVAILABLE)), [snapshot("c0"), event(1), drop], [snapshot("c1"), event(2)]
    ) as runtime:
        async with follow(runtime, on_state=states) as stream:
            assert stream.state == "connecting"
            await take(stream, 2)
            assert stream.state == "live"
        assert stream.state == "ended"
    assert states.names == [
        "connecting",
        "waiting",
        "connecting",
        "live",
        "waiting",
        "connecting",
        "live",
        "ended",
    ]
    waits = [detail for state, detail in states.seen if state == "waiting"]
    assert [(wait.tries, wait.delay_seconds, wait.reason) for wait in waits] == [
        (1, 1.25, "runtime.unavailable"),
        (2, 0.5, "the connection broke"),
    ]


async def test_the_last_state_says_why_it_ended():
    states = States()
    async with (
        ScriptedRuntime(Refusal(403, problem(CODES.FORBIDDEN))) as runtime,
        follow(runtime, on_state=states) as stream,
    ):
        with pytest.raises(StreamRefusedError):
            await take(stream, 1)
        assert stream.state == "ended"
    assert states.names == ["connecting", "ended"]
    assert "runtime.forbidden" in states.seen[-1][1].reason


async def test_an_on_state_that_raises_ends_the_stream_with_what_it_raised():
    def on_state(state: object, detail: object) -> None:
        if state == "live":
            raise KeyError("mine")

    async with ScriptedRuntime([snapshot("c0"), event(1)]) as runtime:
        async with follow(runtime, on_state=on_state) as stream:
            with pytest.raises(KeyError, match="mine"):
                await take(stream, 1)
        await wait_until_async(lambda: runtime.close_codes == [1000])


@pytest.mark.parametrize("url", ["", "127.0.0.1:38800", "ftp://h", "http://u:p@h", "http://h?a=b", "http://h/ "])
def test_an_address_that_is_none_is_found_at_once(url: str):
    with pytest.raises(RequestInvalidError) as caught:
        observe(url)
    assert caught.value.parameter == "url"


def test_a_worker_id_that_is_none_is_found_at_once():
    with pytest.raises(WorkerIdInvalidError):
        observe("http://h", "../x")
