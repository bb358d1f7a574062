"""The judge of the client suite notices every kind of lie."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.torture.client_witness import Entry, Gap, Journal, Seen, Sighting, judge


def seen(n: int, text: str | None = None, what: str | None = None) -> Seen:
    return Seen(f"e{n}", n, "w0", n, text or f"1:w0:{n}:", what or str(n))


def judged(entries: Iterable[Entry], *others: Sighting, refused: Iterable[str] = ()) -> dict[str, int]:
    """Judge a client that saw ``entries``, where events 1 to 5 were acknowledged."""
    texts = [f"1:w0:{n}:" for n in range(1, 6)]
    journal = Journal(set(texts), {text: place for place, text in enumerate(texts)}, set(refused))
    return judge([Sighting("c", None, stories=[list(entries)]), *others], journal, [])


ALL = [seen(n) for n in range(1, 6)]


def test_who_got_everything_or_was_told_what_not_is_believed():
    assert judged(ALL)["acknowledged texts found"] == 5
    assert judged([*ALL[:2], Gap("runtime.cursor_expired", 1, True), *ALL[3:]])["events lost and announced"] == 1
    assert judged([*ALL[:2], Gap("runtime.cursor_expired", 9, False), *ALL[3:]])["gaps announced"] == 1
    assert judged(ALL[2:])["events checked"] == 3


@pytest.mark.parametrize(
    ("entries", "lie"),
    [
        ([*ALL[:2], *ALL[3:]], "2 is followed by 4, 0 were announced"),
        ([*ALL[:2], Gap("x", 2, True), *ALL[3:]], "2 were announced"),
        ([*ALL[:2], Gap("x", 0, False), *ALL[3:]], "0 were announced"),
        ([*ALL[:2], ALL[1], *ALL[2:]], "e2 came twice"),
        ([ALL[0], ALL[2], ALL[1], *ALL[3:]], "1 is followed by 3"),
        ([*ALL[:4], seen(5, text="1:w0:99:")], "nobody ever wrote"),
        (ALL[:4], "1 acknowledged texts never came"),
    ],
)
def test_a_lie_is_found(entries: list[Entry], lie: str):
    with pytest.raises(AssertionError, match=lie):
        judged(entries)


def test_what_was_refused_may_not_come():
    with pytest.raises(AssertionError, match="was refused, and came"):
        judged(ALL, refused=["1:w0:3:"])


def test_all_agree_on_what_an_id_names():
    with pytest.raises(AssertionError, match="e3 is another one"):
        judged(ALL, Sighting("d", None, stories=[[seen(3, what="other")]]))
