"""The kit itself on trial: a right client passes every case, a wrong one is caught by the cases meant for its fault."""

from __future__ import annotations

import pytest

from tests.conformance.playing import outcomes, play_all, play_one
from tests.conformance.small_client import FAULTS, SmallClient
from yoi_runtime.conformance import Outcome, Stage, load_cases

CASES = load_cases()
BY_NAME = {case.name: case for case in CASES}
V0_FAULTS = {"offers_v1_in_v0", "token_in_the_query"}

# Every case is played to the fault; these find it, and no others.
NARROW = {
    "batches_lose_the_cursor": {"batch": "failed"},
    "checks_no_numbers": {"gap_is_noticed": "warned"},
    "clamps_silently": {"cursor_expired": "failed", "expired_in_mid_stream": "failed"},
    "dedups_by_number": {"cursor_foreign": "failed", "lost_tail": "failed"},
    "dedups_not": {"duplicate_delivery": "warned"},
    "dies_of_unknown_diagnostics": {"unknown_diagnostic": "failed"},
    "dies_of_unknown_events": {"unknown_event": "failed"},
    "dies_of_unknown_fields": {"unknown_fields": "failed"},
    "dies_of_unknown_kinds": {"unknown_kind": "failed"},
    "fixed_delay": {"backoff_grows": "warned"},
    "gives_up_on_503": {"slow_start": "failed", "shutdown_and_return": "failed"},
    "gives_up_on_unknown_45xx": {"unknown_45xx": "failed"},
    "hands_over_twice": {"handed_over_once": "failed", "duplicate_delivery": "warned"},
    "has_an_origin": {"not_a_browser": "failed"},
    "ignores_1001": {"shutdown_and_return": "failed"},
    "ignores_bookmarks": {"bookmark_moves_the_cursor": "warned"},
    "ignores_retry_after": {"too_many_subscribers": "failed", "unavailable_in_stream": "failed"},
    "ignores_the_end": {"end_of_the_worker": "failed", "ended_while_away": "failed"},
    "knows_no_close_codes": {"unknown_44xx": "failed"},
    "loses_the_cursor_without_frames": {
        "backoff_grows": "failed",
        "cursor_kept_without_frames": "failed",
        "shutdown_and_return": "failed",
        "worker_away_for_a_while": "failed",
    },
    "never_pongs": {"answers_pings": "failed"},
    "no_backoff": {"backoff_grows": "failed"},
    "notices_no_silence": {"half_open": "warned"},
    "repeats_after_4409": {"cursor_foreign": "failed"},
    "sends_a_message": {"observation_only": "failed"},
    "small_messages_only": {"large_event": "failed", "largest_batch": "failed"},
    "splits_lines": {"batch": "failed", "largest_batch": "failed", "line_separators": "failed"},
    "starts_anew_before_the_first_event": {"place_kept_before_first_event": "failed"},
    "token_in_the_query": {"request_form": "failed"},
    "worker_is_gone_for_good": {"worker_away_for_a_while": "failed"},
}
# These break nearly every case; one is enough to see.
BROAD = {
    "asks_twice": ("large_event", {"large_event": "failed", "request_form": "failed"}),
    "forgets_the_cursor": ("resume_after_drop", {"resume_after_drop": "failed"}),
    "ignores_recovery": ("cursor_unknown", {"cursor_unknown": "failed"}),
    "keeps_the_first_cursor": ("torn_frame", {"torn_frame": "failed"}),
    "offers_v1_in_v0": ("large_event", {"request_form": "failed"}),
    "resumes_too_far": ("resume_after_hang_up", {"resume_after_hang_up": "failed"}),
    "says_nothing": ("unauthenticated", {"unauthenticated": "failed"}),
    "skips_every_third": ("unknown_fields", {"unknown_fields": "failed"}),
    "swaps_two": ("unknown_fields", {"unknown_fields": "failed"}),
}


@pytest.mark.parametrize("restarts", [True, False], ids=["goes on", "stops at a gap"])
@pytest.mark.parametrize("everything", [False, True], ids=["one Worker", "everything"])
@pytest.mark.parametrize("mode", ["v0", "v1"])
async def test_a_right_client_passes_every_case(mode: str, everything: bool, restarts: bool, played):
    def client(stage: Stage):
        return SmallClient(stage, mode, everything=everything, restarts=restarts).run()

    report = await play_all(CASES, mode, client)
    assert not outcomes(report), "\n".join(result.explain() for result in report.results if result.findings)
    skipped = {result.name for result in report.cases if result.skipped}
    of_one_worker = {"worker_away_for_a_while", "end_of_the_worker", "ended_while_away"}
    assert skipped <= {"stores_after_handing_over"} | (of_one_worker if everything else set())
    played(f"small client, {mode}, {'everything' if everything else 'one Worker'}, restarts={restarts}", report.counts)


def test_every_fault_has_its_row():
    assert NARROW.keys() | BROAD.keys() == FAULTS
    assert not NARROW.keys() & BROAD.keys()


@pytest.mark.parametrize("fault", sorted(NARROW))
async def test_a_fault_is_caught_by_exactly_the_cases_meant_for_it(fault: str):
    mode = "v0" if fault in V0_FAULTS else "v1"
    report = await play_all(CASES, mode, lambda stage: SmallClient(stage, mode, fault).run())
    found = outcomes(report)
    assert found == NARROW[fault], "\n".join(result.explain() for result in report.results if result.findings)


@pytest.mark.parametrize("fault", sorted(BROAD))
async def test_a_fault_that_breaks_everything_is_caught(fault: str):
    mode = "v0" if fault in V0_FAULTS else "v1"
    name, expected = BROAD[fault]
    report = await play_all([BY_NAME[name]], mode, lambda stage: SmallClient(stage, mode, fault).run())
    assert outcomes(report) == expected


def test_every_case_catches_some_fault():
    caught = {name for row in NARROW.values() for name in row} | {name for name, _ in BROAD.values()}
    others = {
        # Caught by ignores_recovery, as cursor_unknown is.
        "cursor_malformed",
        "invalid_request",
        "record_corrupt_v0",
        "record_corrupt_v1",
        # A resume like the others, behind another ending.
        "consumer_too_slow",
        # Its fault needs a process: test_kit.py.
        "stores_after_handing_over",
    }
    assert {case.name for case in CASES} == (caught | others) & BY_NAME.keys()


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("cursor_malformed", "v1"),
        ("invalid_request", "v1"),
        ("record_corrupt_v0", "v0"),
        ("expired_in_mid_stream", "v0"),
    ],
)
async def test_ignoring_recovery_is_caught_by_every_refusal(name: str, mode: str):
    result = await play_one(BY_NAME[name], mode, lambda stage: SmallClient(stage, mode, "ignores_recovery").run())
    assert result.outcome is Outcome.FAILED, result.explain()


async def test_a_refused_request_that_is_repeated_is_named_as_that():
    def client(stage: Stage):
        return SmallClient(stage, "v1", "repeats_after_4409").run()

    (finding,) = (await play_one(BY_NAME["cursor_foreign"], "v1", client, reports=False)).findings
    assert finding.expected == "the refused request not to be repeated"
    assert finding.seen == "cursor of place 3 (behind event 3)"


@pytest.mark.parametrize("name", ["consumer_too_slow", "record_corrupt_v1"])
async def test_forgetting_the_cursor_is_caught_behind_every_ending(name: str):
    result = await play_one(BY_NAME[name], "v1", lambda stage: SmallClient(stage, "v1", "forgets_the_cursor").run())
    assert result.outcome is Outcome.FAILED, result.explain()


async def test_without_a_report_of_deliveries_the_wire_alone_is_judged():
    def client(stage: Stage):
        return SmallClient(stage, "v1", "clamps_silently").run()

    report = await play_all([BY_NAME["cursor_expired"], BY_NAME["resume_after_drop"]], "v1", client, reports=False)
    assert outcomes(report) == {"cursor_expired": "warned"}


async def test_a_token_belongs_in_its_header():
    result = await play_one(
        BY_NAME["unknown_fields"], "v1", lambda stage: SmallClient(stage, "v1").run(), token="geheim"
    )
    assert [finding.rule for finding in result.findings] == ["request_form"]
    assert "Authorization: Bearer" in result.explain()


async def test_a_client_that_never_comes_fails():
    async def nobody(stage: Stage) -> None:
        stage.ended(3)

    result = await play_one(BY_NAME["unknown_fields"], "v1", nobody)
    assert result.outcome is Outcome.FAILED
    assert "ended with exit code 3" in result.explain()
