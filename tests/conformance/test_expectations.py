from __future__ import annotations

import pytest

from yoi_runtime.conformance.case import Asks, load_cases
from yoi_runtime.conformance.expectations import (
    Asked,
    StartKind,
    judge_headers,
    judge_request,
    judge_version,
    judge_waits,
)
from yoi_runtime.conformance.handshake import HttpRequest
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import ProtocolVersion

CASES = {case.name: case for case in load_cases()}
NOW, OLDEST = Asked(StartKind.NOW, None, "w"), Asked(StartKind.OLDEST, None, "w")
STRANGE = Asked(StartKind.CURSOR, None, "w")


def after(place: int, kind: StartKind = StartKind.CURSOR) -> Asked:
    return Asked(kind, place, "w")


def levels(
    asks: Asks, asked: Asked, *, first: Asked = NOW, waited: float | None = 1.0, delivered: int = 0
) -> list[str]:
    found = judge_request(
        CASES["torn_frame"], asks, asked, first, waited_seconds=waited, delivered=delivered, timing=Timing()
    )
    return [finding.level.value for finding in found]


@pytest.mark.parametrize(
    ("asks", "asked", "first", "expected"),
    [
        (Asks(after=3), after(3), NOW, []),
        (Asks(after=3), after(3, StartKind.EVENT_ID), NOW, []),
        (Asks(after=3), after(2), NOW, ["MUST"]),
        (Asks(after=3), after(4), NOW, ["MUST"]),
        (Asks(after=3), STRANGE, NOW, ["MUST"]),
        (Asks(after=3), NOW, NOW, ["MUST"]),
        (Asks(after=3), OLDEST, OLDEST, ["MUST"]),
        (Asks(after=0), OLDEST, OLDEST, []),
        (Asks(after=0), NOW, NOW, ["MUST"]),
        (Asks(after=7, tolerated=(2,)), after(2), NOW, ["SHOULD"]),
        (Asks(after=7, tolerated=(2,)), after(3), NOW, ["MUST"]),
        (Asks(never_after=3), after(3), NOW, ["MUST"]),
        (Asks(never_after=3), OLDEST, NOW, []),
        (Asks(same_as_first=True), NOW, NOW, []),
        (Asks(same_as_first=True), OLDEST, NOW, ["MUST"]),
        (Asks(), Asked(StartKind.NOW, None, None), NOW, ["MUST"]),
        (Asks(after_delivered=True), OLDEST, NOW, []),
        (Asks(after_delivered=True), NOW, NOW, ["MUST"]),
        (Asks(after_delivered=True), STRANGE, NOW, ["MUST"]),
    ],
)
def test_a_request_is_compared_with_what_the_case_expects(asks: Asks, asked: Asked, first: Asked, expected: list[str]):
    assert levels(asks, asked, first=first) == expected


@pytest.mark.parametrize(("place", "expected"), [(4, []), (5, []), (6, ["MUST"])])
def test_a_restarted_client_goes_on_no_further_than_it_has_delivered(place: int, expected: list[str]):
    assert levels(Asks(after_delivered=True), after(place), delivered=5) == expected


@pytest.mark.parametrize(("waited", "expected"), [(3.5, ["MUST"]), (3.99, []), (9.0, []), (None, [])])
def test_coming_back_too_soon_is_found_but_for_a_timers_millisecond(waited: float | None, expected: list[str]):
    assert levels(Asks(not_before_ms=4000), NOW, waited=waited) == expected


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ([0.25, 0.5, 1, 2, 4, 8], []),
        ([0.02, 0.04, 0.08, 0.16, 0.32, 0.64], []),
        ([0.01] * 6, ["MUST"]),
        ([0.2] * 6, ["SHOULD"]),
        ([5, 4, 3, 2, 1, 0.5], ["SHOULD"]),
        # A cap is no fault.
        ([0.5, 1, 1.5, 1.5, 1.5, 1.5], []),
    ],
)
def test_waits_are_a_backoff_or_not(waits: list[float], expected: list[str]):
    assert [finding.level.value for finding in judge_waits(CASES["backoff_grows"], waits)] == expected


def request(*parameters: tuple[str, str], **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sound = {"sec-websocket-version": "13", "sec-websocket-key": "k"}
    return HttpRequest("GET", "/", "/", parameters, sound | named)


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        (request(), []),
        (request(sec_fetch_site="none", sec_fetch_mode="websocket"), []),
        (request(origin="http://x"), ["not_a_browser"]),
        (request(cookie="a=b", sec_fetch_site="same-origin"), ["not_a_browser", "not_a_browser"]),
        (request(("cursor", "wo1")), []),
        (request(("access_token", "x")), ["request_form"]),
        (request(sec_websocket_version="8"), ["request_form"]),
    ],
)
def test_headers_and_parameters_that_no_request_may_have_are_found(asked: HttpRequest, rules: list[str]):
    assert [finding.rule for finding in judge_headers(asked, None)] == rules


def test_a_token_stands_in_its_header_alone():
    assert judge_headers(request(authorization="Bearer t"), "t") == []
    assert [f.rule for f in judge_headers(request(("key", "t"), authorization="t"), "t")] == ["request_form"] * 2
    assert "t" not in {f.seen for f in judge_headers(request(("key", "t")), "t")}


@pytest.mark.parametrize(
    ("offered", "version", "count"),
    [
        ("yoi.events.v1", "v1", 0),
        ("a, yoi.events.v1", "v1", 0),
        ("", "v1", 1),
        ("", "v0", 0),
        ("yoi.events.v1", "v0", 1),
    ],
)
def test_the_version_is_the_one_under_test(offered: str, version: str, count: int):
    assert len(judge_version(request(sec_websocket_protocol=offered), ProtocolVersion(version))) == count
