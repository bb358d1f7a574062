"""Every answer to a cursor, each from a situation that really makes one, on both endpoints."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.conftest import ExpectLog
from tests.end_to_end.programs import runtime_process, until_known
from tests.runtime.emitting import emit
from tests.server.foreign_client import subscribed
from tests.server.raw_peer import RawPeer
from tests.server.serving import SMALL, Serving, records_of, serving, stream_path
from tests.support.damage import damage
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.segment_log.cursor import decode_token, encode_token

BOTH = ("a", None)
SMALL_FILES: dict[str, Any] = {"segment_bytes": 4096}


async def answers(served: Serving, token: str) -> list[dict[str, Any]]:
    """Ask both endpoints to go on from ``token``; checks what all answers to cursors have in common."""
    found = []
    for worker_id in BOTH:
        async with served.subscribed(worker_id, cursor=token) as peer:
            problem = await peer.refused()
        assert problem["severity"] == "error"
        assert problem["retryable"] is False
        assert problem["requested_cursor"] == token[:64]
        assert problem.get("worker_id") == worker_id
        assert problem["message"]
        found.append(problem)
    return found


def assert_tells_both_ends(served: Serving, problem: dict[str, Any]) -> None:
    """The log can be read between these, which are good cursors themselves."""
    assert decode_token(problem["oldest_cursor"]).seq == served.view.floor().seq
    assert decode_token(problem["latest_cursor"]).seq == served.view.end.seq


async def expect(served: Serving, token: str, code: str, close_code: int, recovery: str) -> None:
    for problem in await answers(served, token):
        assert (problem["code"], problem["close_code"]) == (f"runtime.{code}", close_code)
        assert problem["recovery"] == recovery
        assert "lost" not in problem
        if code == "cursor_malformed":
            assert "oldest_cursor" not in problem
        else:
            assert_tells_both_ends(served, problem)


async def expect_good(served: Serving, token: str) -> None:
    for worker_id in BOTH:
        async with served.subscribed(worker_id, cursor=token) as peer:
            await (peer.snapshot() if worker_id else peer.opened())
            assert peer.cursor == token


# Malformed.


async def test_what_is_no_token_is_malformed(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        (cursor,) = emit(worker, 1)
        await served.shown(cursor)
        texts = {
            "empty": "",
            "one more character": cursor + "A",
            "one less": cursor[:-1],
            "over 64 characters": cursor * 2,
            "very long": "wo1" + "A" * 5000,
            "the prefix alone": "wo1",
            "blank": " ",
            "with a blank": cursor + " ",
            "with a newline": cursor + "\n",
            "another alphabet": cursor[:-1] + "+",
            "not ASCII": cursor[:-1] + "é",
            "wide digits": "wo1" + "１" * 60,
            "zero byte": cursor[:-1] + "\0",
            "a number": "17",
            "an event id": records_of(tmp_path)[-1]["event_id"],
            "a snapshot's event id": f"snapshot:{cursor}",
        }
        for text in texts.values():
            await expect(served, text, "cursor_malformed", 4400, "fix_request")
        await expect_good(served, cursor)


async def test_a_flipped_character_anywhere_is_malformed(tmp_path: Path):
    chance = random.Random(7)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    async with serving(tmp_path) as served:
        (cursor,) = emit(await served.worker("a"), 1)
        await served.shown(cursor)
        for place in range(len(cursor)):
            other = chance.choice(alphabet.replace(cursor[place], ""))
            flipped = cursor[:place] + other + cursor[place + 1 :]
            async with served.subscribed("a", cursor=flipped) as peer:
                problem = await peer.refused()
            assert (place, problem["code"], problem["close_code"]) == (place, "runtime.cursor_malformed", 4400)


async def test_bytes_that_are_no_text_are_malformed_and_harmless(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for raw in ("%ff%fe", "%00", "%c0%ae", "%ed%a0%80", quote("\u2028"), "%"):
            with await RawPeer.connect(served.server.url, f"{stream_path('a')}?cursor={raw}") as peer:
                problem = (await peer.json())["diagnostic"]
                assert problem["code"] == "runtime.cursor_malformed"


# Foreign.


async def test_another_directorys_cursor_is_foreign(tmp_path: Path):
    async with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        await one.worker("a")
        (cursor,) = emit(await two.worker("a"), 1)
        await two.shown(cursor)
        await expect(one, cursor, "cursor_foreign", 4409, "resnapshot")
        await expect_good(two, cursor)


async def test_a_directory_made_anew_answers_foreign_and_not_expired(tmp_path: Path):
    async with serving(tmp_path) as served:
        (cursor,) = emit(await served.worker("a"), 1)
    shutil.rmtree(tmp_path)
    async with serving(tmp_path) as served:
        await served.shown(emit(await served.worker("a"), 5)[-1])
        await expect(served, cursor, "cursor_foreign", 4409, "resnapshot")


# Expired.


async def test_a_rotated_out_cursor_is_expired_with_the_exact_number_on_each_endpoint(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        a, b = await served.worker("a"), await served.worker("b")
        first = emit(a, 1)[0]
        for _ in range(6):
            emit(a, 1)
            emit(b, 2)
        served.rotate_out_all_before_now(b)
        await served.shown(emit(a, 1)[0])
        scoped, everything = await answers(served, first)
        for problem in (scoped, everything):
            assert (problem["code"], problem["close_code"]) == ("runtime.cursor_expired", 4410)
            assert problem["recovery"] == "resnapshot"
            assert_tells_both_ends(served, problem)
            assert problem["lost"]["exact"] is True
            assert problem["lost"]["to_time"] < records_of(tmp_path)[0]["time"]
        assert scoped["lost"]["events"] == 6
        assert everything["lost"]["events"] == served.view.floor().seq - decode_token(first).seq
        # What it names leads on: from the oldest event there is, without one between lost twice.
        async with served.subscribed(cursor=everything["oldest_cursor"]) as peer:
            await peer.opened()
            assert (await peer.event())["seq"] == decode_token(first).seq + everything["lost"]["events"] + 1
        async with served.subscribed("a", cursor=scoped["oldest_cursor"]) as peer:
            await peer.snapshot()
            assert (await peer.event())["worker_seq"] == 1 + 6 + 1
        await expect_good(served, scoped["latest_cursor"])


async def test_an_expired_cursor_of_the_other_endpoint_gives_an_upper_bound_that_holds(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        a, b = await served.worker("a"), await served.worker("b")
        emit(a, 2)
        foreign = emit(b, 1)[0]
        emit(a, 4)
        served.rotate_out_all_before_now(b)
        await served.shown(emit(b, 1)[0])
        scoped, everything = await answers(served, foreign)
        assert scoped["lost"]["exact"] is False
        assert scoped["lost"]["events"] >= 4
        assert everything["lost"]["exact"] is True
        assert everything["lost"]["events"] == served.view.floor().seq - decode_token(foreign).seq


# Ahead: the events at the cursor were lost.


async def test_a_cursor_into_a_lost_tail_is_ahead_and_its_place_is_never_given_away(tmp_path: Path):
    """A power cut without durability: killed, and back come an older watermark and a shorter segment."""
    async with runtime_process(tmp_path, serve=True, durability="written") as runtime:
        kept = (await runtime.do("emit", worker="a", texts=["kept"]))["cursors"][0]
        (segment,) = (tmp_path / "log").glob("*.jsonl")
        marker = (tmp_path / "log" / "COMMITTED").read_bytes()
        length = segment.stat().st_size
        lost = (await runtime.do("emit", worker="a", texts=["lost"] * 5))["cursors"]
        await runtime.kill()
    damage(segment, lambda data: data.__delitem__(slice(length, None)))
    (tmp_path / "log" / "COMMITTED").write_bytes(marker)
    async with serving(tmp_path) as served:
        worker = served.runtime.create_worker("a")
        for events_since in (1, 2, 3):
            await served.shown(worker.emit(TextDelta(text="new")))
            for cursor in (lost[0], lost[2], lost[-1]):
                await expect(served, cursor, "cursor_ahead", 4411, "resnapshot")
            async with served.subscribed("a", cursor=kept) as peer:
                await peer.snapshot()
                assert await peer.texts(events_since) == ["new"] * events_since
        # Numbers come again, places and event ids do not.
        events = [record for record in records_of(tmp_path) if record["worker_id"] == "a"]
        assert [event["worker_seq"] for event in events] == [1, 2, 3, 4]
        assert not {event["cursor"] for event in events} & set(lost)


async def test_a_torn_tail_that_was_never_shown_costs_no_cursor(tmp_path: Path):
    async with runtime_process(tmp_path, serve=True) as runtime:
        cursors = (await runtime.do("emit", worker="a", texts=["1", "2"]))["cursors"]
        await runtime.kill()
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"kind":"event","envelope":{"cursor":"wo1')
    async with serving(tmp_path) as served:
        for cursor in cursors:
            await expect_good(served, cursor)
        async with served.subscribed("a", cursor=cursors[0]) as peer:
            await peer.snapshot()
            assert await peer.texts(1) == ["2"]


async def test_a_cursor_of_after_the_backup_is_ahead_when_the_backup_is_restored(tmp_path: Path):
    async with serving(tmp_path / "live", RuntimeOptions(**SMALL_FILES)) as served:
        before = emit(await served.worker("a"), 3)
    shutil.copytree(tmp_path / "live", tmp_path / "backup")
    async with serving(tmp_path / "live", RuntimeOptions(**SMALL_FILES)) as served:
        worker = served.runtime.create_worker("a")
        after = emit(worker, 60, size=400)
        await served.shown(after[-1])
    shutil.rmtree(tmp_path / "live")
    shutil.move(tmp_path / "backup", tmp_path / "live")
    async with serving(tmp_path / "live", RuntimeOptions(**SMALL_FILES)) as served:
        worker = served.runtime.create_worker("a")
        await served.shown(emit(worker, 3)[-1])
        # A segment of a number that there is again, made by somebody else; and one that there is not.
        await expect(served, after[0], "cursor_unknown", 4412, "resnapshot")
        await expect(served, after[-1], "cursor_ahead", 4411, "resnapshot")
        await expect_good(served, before[-1])
        # More segments change nothing: no event of the restored log is taken for one of the lost.
        await served.shown(emit(worker, 60, size=400)[-1])
        for cursor in after:
            await expect(served, cursor, "cursor_unknown", 4412, "resnapshot")


# Unknown.


async def test_an_offset_inside_a_record_or_header_is_unknown(tmp_path: Path):
    async with serving(tmp_path) as served:
        cursor = emit(await served.worker("a"), 3)[1]
        await served.shown(cursor)
        served.roll()
        await served.worker("b")
        decoded = decode_token(cursor)
        for offset in (0, 1, 100, decoded.offset - 1, decoded.offset + 1, decoded.offset - 40):
            await expect(served, encode_token(decoded._replace(offset=offset)), "cursor_unknown", 4412, "resnapshot")
        await expect(served, encode_token(decoded._replace(seq=decoded.seq + 1)), "cursor_unknown", 4412, "resnapshot")
        await expect_good(served, cursor)


async def test_past_the_end_of_a_sealed_segment_and_of_the_log_is_ahead(tmp_path: Path):
    async with serving(tmp_path) as served:
        (cursor,) = emit(await served.worker("a"), 1)
        await served.shown(cursor)
        decoded = decode_token(cursor)
        served.roll()
        (newest,) = emit(await served.worker("b"), 1)
        await served.shown(newest)
        end = decode_token(newest)
        for ahead in (
            decoded._replace(offset=decoded.offset + 10_000),
            end._replace(offset=end.offset + 1),
            end._replace(segment=end.segment + 1),
            end._replace(segment=(1 << 40) - 1, offset=(1 << 40) - 1, seq=(1 << 56) - 1),
        ):
            await expect(served, encode_token(ahead), "cursor_ahead", 4411, "resnapshot")


# Damage.


async def test_a_damaged_record_is_told_on_each_endpoint_and_the_rest_is_read_from_there(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "damaged record")
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        for number in range(8):
            worker.emit(TextDelta(text=f"number {number}"))
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    damage(segment, lambda data: data.__setitem__(data.index(b"number 4"), ord("N")))
    async with serving(tmp_path) as served:
        for worker_id in BOTH:
            async with served.subscribed(worker_id, from_="oldest") as peer:
                await (peer.snapshot() if worker_id else peer.opened())
                events = await peer.until(lambda event: event["payload"].get("data", {}).get("text") == "number 3")
                assert [event["seq"] for event in events][-4:] == list(range(events[-4]["seq"], events[-1]["seq"] + 1))
                problem = await peer.refused()
            assert (problem["code"], problem["close_code"]) == ("runtime.record_corrupt", 4413)
            assert (problem["recovery"], problem["retryable"]) == ("restart_from_oldest", False)
            assert f"event {events[-1]['seq'] + 1} is damaged" in problem["message"]
            async with served.subscribed(worker_id, cursor=problem["resume_cursor"]) as peer:
                await (peer.snapshot() if worker_id else peer.opened())
                assert await peer.texts(3) == ["number 5", "number 6", "number 7"]
            # Coming back to where it broke off meets the damage again: it is never skipped in silence.
            async with served.subscribed(worker_id, cursor=events[-1]["cursor"]) as peer:
                await (peer.snapshot() if worker_id else peer.opened())
                assert (await peer.refused())["resume_cursor"] == problem["resume_cursor"]


async def test_events_that_were_shown_and_are_gone_are_damage_and_not_forgotten(tmp_path: Path, expect_log: ExpectLog):
    """Killed, and the file system lost what it had promised: the watermark says how much there was."""
    expect_log("yoi_runtime.server", "damaged record")
    async with runtime_process(tmp_path, serve=True) as runtime:
        cursors = (await runtime.do("emit", worker="a", texts=["1", "2", "3", "4"]))["cursors"]
        await until_known(runtime, "a")
        async with subscribed(runtime.url, stream_path("a"), from_="oldest") as peer:
            await peer.snapshot()
            shown = await peer.events(4)
        await runtime.kill()
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    damage(segment, lambda data: data.__delitem__(slice(data.index(b'"text":"2"'), None)))
    async with serving(tmp_path) as served:
        worker = served.runtime.create_worker("a")
        await served.shown(worker.emit(TextDelta(text="new")))
        async with served.subscribed("a", cursor=cursors[0]) as peer:
            await peer.snapshot()
            problem = await peer.refused()
        assert problem["code"] == "runtime.record_corrupt"
        assert f"events {shown[1]['seq']} to {shown[3]['seq']} are damaged" in problem["message"]
        for cursor in (problem["resume_cursor"], cursors[3]):
            async with served.subscribed("a", cursor=cursor) as peer:
                await peer.snapshot()
                assert await peer.texts(1) == ["new"]
        for cursor in cursors[1:3]:
            await expect(served, cursor, "cursor_unknown", 4412, "resnapshot")
