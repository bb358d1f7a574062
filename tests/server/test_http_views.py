from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.runtime.emitting import emit
from tests.server.serving import SMALL, records_of, rotate_out_all_before_now, serving
from tests.support.deadline import wait_until_async
from yoi_runtime.events import Status, TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.server.log_view import LogView
from yoi_runtime.version import VERSION

HOSTILE_IDS = [
    "",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "a%00",
    "a%0d%0ab",
    "a%0a",
    "x" * 65,
    "%c3%a9",
    "%ff",
    "%c0%ae",
    "a%20b",
    "%EF%BC%A1",
    "a.b",
    "a%2fb",
    "a%252e",
]


async def test_runtime_says_who_it_is_and_what_it_speaks(tmp_path: Path):
    async with serving(tmp_path) as served:
        answer = await served.get("/v1/runtime")
        assert answer.status == 200
        log_id = served.runtime.log_id
        assert answer.json == {
            "runtime": {
                "runtime_id": f"rt-{log_id}",
                "log_id": log_id,
                "version": VERSION,
                "api": {"stream_versions": ["v0", "v1"]},
            }
        }


async def test_a_worker_is_shown_as_its_events_tell_it(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        emit(worker, 2)
        await served.shown(worker.emit(Status(status="running")))
        answer = await served.get("/v1/workers/a")
        assert answer.status == 200
        found = answer.json["worker"]
        created_at = next(
            record["time"] for record in records_of(tmp_path) if record["payload"]["event"] == "worker_created"
        )
        assert decode_token(found.pop("cursor")).worker_seq == 3
        assert found == {
            "worker_id": "a",
            "status": "running",
            "worker_seq": 3,
            "run": 1,
            "created_at": created_at,
        }
        worker.end("failed", 3)
        emit(await served.worker("b"), 1)
        again = await served.worker("c")
        await served.shown(emit(again, 1)[0])
        found = (await served.get("/v1/workers/a")).json["worker"]
        ended = next(record for record in records_of(tmp_path) if record["payload"]["event"] == "worker_ended")
        assert (found["status"], found["outcome"], found["exit_code"]) == ("idle", "failed", 3)
        assert found["ended_at"] == ended["time"]
        restarted = served.runtime.create_worker("a")
        await served.shown(emit(restarted, 1)[0])
        found = (await served.get("/v1/workers/a")).json["worker"]
        assert (found["run"], found["worker_seq"]) == (2, 4)
        assert not {"outcome", "exit_code", "ended_at"} & set(found)


async def test_workers_are_listed_by_id(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert (await served.get("/v1/workers")).json == {"workers": []}
        for worker_id in ("b", "a", "_", "B"):
            await served.worker(worker_id)
        workers = (await served.get("/v1/workers")).json["workers"]
        assert [worker["worker_id"] for worker in workers] == ["B", "_", "a", "b"]
        assert workers[2] == (await served.get("/v1/workers/a")).json["worker"]


async def test_ten_thousand_workers_come_in_pages_that_stay_right_while_workers_come(tmp_path: Path):
    """Of the Workers that are there all the time none is passed over and none is shown twice."""
    options = RuntimeOptions(durability="written")
    async with serving(tmp_path, options) as served:
        all_the_time = [f"w-{number:05d}" for number in range(10_000)]
        for worker_id in all_the_time:
            served.runtime.create_worker(worker_id)
        await wait_until_async(lambda: len(served.view.ledger.workers) == 10_000, 30)
        for path in ("/v1/workers", "/v1/events/status"):
            found: list[str] = []
            query = ""
            while True:
                answer = await served.get(path + query)
                assert answer.status == 200
                assert len(answer.body) < 1 << 20
                found += [worker["worker_id"] for worker in answer.json["workers"]]
                if "next_after" not in answer.json:
                    break
                assert len(answer.json["workers"]) == 1000
                assert answer.json["next_after"] == found[-1]
                # One comes before the page, one within the next, one behind all.
                for worker_id in (f"a-{path[4]}{len(found)}", f"{found[-1]}-{path[4]}", f"z-{path[4]}{len(found)}"):
                    await served.worker(worker_id)
                query = f"?after={found[-1]}"
            assert found == sorted(set(found))
            assert set(found) >= set(all_the_time)
            assert found[-1].startswith("z-"), "what comes behind is still seen"


async def test_the_size_of_a_page_may_be_chosen_and_a_worker_that_is_gone_is_still_a_place(tmp_path: Path):
    async with serving(tmp_path) as served:
        for worker_id in ("a", "b", "c", "d", "e"):
            await served.worker(worker_id)
        for path in ("/v1/workers", "/v1/events/status"):
            pages = {
                "limit=2": (["a", "b"], "b"),
                "limit=2&after=b": (["c", "d"], "d"),
                "limit=2&after=d": (["e"], None),
                "limit=5": (["a", "b", "c", "d", "e"], None),
                "after=bb&limit=1": (["c"], "c"),
                "after=e": ([], None),
                "after=~": ([], None),
                "": (["a", "b", "c", "d", "e"], None),
            }
            for query, (ids, next_after) in pages.items():
                answer = (await served.get(f"{path}?{query}")).json
                assert [worker["worker_id"] for worker in answer["workers"]] == ids, query
                assert answer.get("next_after") == next_after, query


async def test_a_page_that_cannot_be_is_400_and_says_which_parameter_is_wrong(tmp_path: Path):
    async with serving(tmp_path) as served:
        for path in ("/v1/workers", "/v1/events/status"):
            for query, parameter in {
                "limit=0": "limit",
                "limit=1001": "limit",
                "limit=": "limit",
                "limit=1&limit=2": "limit",
                "after=" + "x" * 65: "after",
                "start=1": "start",
            }.items():
                answer = await served.get(f"{path}?{query}")
                problem = answer.json["diagnostic"]
                assert (answer.status, problem["code"]) == (400, "runtime.invalid_request")
                assert f"'{parameter}'" in problem["message"]


async def test_asking_again_for_what_has_not_changed_costs_304_and_no_body(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        for path in ("/v1/workers", "/v1/workers/a", "/v1/events/status", "/v1/runtime"):
            first = await served.get(path)
            known = {"If-None-Match": first.headers["etag"]}
            again = await served.get(path, headers=known)
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
            await served.shown(worker.emit(TextDelta(text="news")))
            changed = await served.get(path, headers=known)
            assert changed.status == (304 if path == "/v1/runtime" else 200)


async def test_a_missing_worker_is_404_and_worth_another_try(tmp_path: Path):
    async with serving(tmp_path) as served:
        answer = await served.get("/v1/workers/nobody")
        assert (answer.status, answer.headers["retry-after"]) == (404, "1")
        problem = answer.json["diagnostic"]
        assert (problem["code"], problem["worker_id"]) == ("runtime.worker_not_found", "nobody")


async def test_what_cannot_be_a_worker_id_is_400_and_not_quoted(tmp_path: Path):
    async with serving(tmp_path) as served:
        for worker_id in HOSTILE_IDS:
            answer = await served.get(f"/v1/workers/{worker_id}")
            assert (worker_id, answer.status) == (worker_id, 400)
            assert answer.json["diagnostic"]["code"] == "runtime.invalid_request"
            assert "worker_id" not in answer.json["diagnostic"]


async def test_events_status_names_what_can_be_read_and_between_which_cursors(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        a, b = await served.worker("a"), await served.worker("b")
        emit(b, 3)
        rotate_out_all_before_now(served.runtime, a)
        await served.shown(emit(a, 1)[0])
        answer = await served.get("/v1/events/status")
        assert answer.status == 200
        status = answer.json
        records = records_of(tmp_path)
        oldest, latest, durable = (
            decode_token(status[name]) for name in ("oldest_cursor", "latest_cursor", "durable_cursor")
        )
        assert status["log_id"] == served.runtime.log_id
        assert (oldest.seq, latest.seq, durable.seq) == (records[0]["seq"] - 1, records[-1]["seq"], latest.seq)
        assert status["events"] == len(records)
        assert status["segments"] == len(served.segments())
        assert status["bytes"] == sum(path.stat().st_size for path in served.segments())
        newest = max(record["worker_seq"] for record in records if record["worker_id"] == "a")
        oldest_of_a = min(record["worker_seq"] for record in records if record["worker_id"] == "a")
        workers = {worker["worker_id"]: worker for worker in status["workers"]}
        assert list(workers) == ["a", "b"]
        assert (workers["a"]["worker_seq"], workers["a"]["oldest_worker_seq"]) == (newest, oldest_of_a)
        # Nothing of b can be read any more.
        assert (workers["b"]["worker_seq"], workers["b"]["oldest_worker_seq"]) == (3, 4)
        for worker in workers.values():
            cursor = decode_token(worker["cursor"])
            assert (cursor.seq, cursor.worker_seq) == (latest.seq, worker["worker_seq"])


async def test_the_oldest_cursor_is_never_that_of_a_deleted_segment(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        rotate_out_all_before_now(served.runtime, worker)
        status = (await served.get("/v1/events/status")).json
        segment = decode_token(CursorToken(status["oldest_cursor"])).segment
        assert (served.runtime.log_directory / f"{segment:020d}.jsonl").exists()


async def test_every_cursor_of_the_http_answers_opens_a_stream(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        rotate_out_all_before_now(served.runtime, worker)
        await served.shown(emit(worker, 1)[0])
        status = (await served.get("/v1/events/status")).json
        info = (await served.get("/v1/workers/a")).json["worker"]
        cursors = [status["oldest_cursor"], status["latest_cursor"], status["durable_cursor"], info["cursor"]]
        cursors += [entry["cursor"] for entry in status["workers"]]
        for cursor in cursors:
            async with served.subscribed("a", cursor=cursor) as peer:
                assert (await peer.snapshot())["cursor"] == cursor
            async with served.subscribed(cursor=cursor) as peer:
                assert (await peer.opened())["resume_cursor"] == cursor


async def test_head_is_get_without_the_body(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.worker("a")
        for path in (
            "/healthz",
            "/readyz",
            "/v1/runtime",
            "/v1/workers",
            "/v1/workers/a",
            "/v1/workers/nobody",
            "/v1/events/status",
        ):
            head, get = await served.get(path, method="HEAD"), await served.get(path)
            assert (head.status, head.body) == (get.status, b"")
            assert head.headers["content-length"] == str(len(get.body))


async def test_health_and_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with serving(tmp_path) as served:
        assert (await served.get("/healthz")).json == {"status": "ok"}
        ready = await served.get("/readyz")
        assert (ready.status, ready.json) == (200, {"status": "ready"})
        monkeypatch.setattr(LogView, "ready", property(lambda view: False))
        ready = await served.get("/readyz")
        assert (ready.status, ready.json) == (503, {"status": "unavailable"})
        assert (await served.get("/healthz")).status == 200


async def test_while_the_log_cannot_be_followed_its_views_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with serving(tmp_path) as served:
        await served.worker("a")
        monkeypatch.setattr(LogView, "_reopen", lambda view: asyncio.sleep(0))
        served.view._caught_up = False
        for path in ("/v1/runtime", "/v1/workers", "/v1/workers/a", "/v1/events/status", "/readyz"):
            answer = await served.get(path)
            assert answer.status == 503
            if path != "/readyz":
                assert (answer.json["diagnostic"]["code"], answer.headers["retry-after"]) == (
                    "runtime.unavailable",
                    "1",
                )
        assert (await served.get("/healthz")).status == 200
        served.view._caught_up = True
        assert (await served.get("/readyz")).status == 200
