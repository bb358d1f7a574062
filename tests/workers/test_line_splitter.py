from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.workers.line_splitter import Line, LineSplitter


def split(data: bytes, max_line_bytes: int = 100, step: int | None = None) -> list[Line]:
    splitter = LineSplitter(max_line_bytes)
    step = step or max(len(data), 1)
    lines = [line for start in range(0, len(data), step) for line in splitter.feed(data[start : start + step])]
    last = splitter.finish()
    return lines if last is None else [*lines, last]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [Line(b"", 1)]),
        (b"\r\n", [Line(b"", 1)]),
        (b"\n\n", [Line(b"", 1), Line(b"", 2)]),
        (b"a", [Line(b"a", 1)]),
        (b"a\nb", [Line(b"a", 1), Line(b"b", 2)]),
        (b"a\nb\n", [Line(b"a", 1), Line(b"b", 2)]),
        (b"a\r\nb\r\n", [Line(b"a", 1), Line(b"b", 2)]),
        (b"a\r\r\nb\r", [Line(b"a\r", 1), Line(b"b\r", 2)]),
        (b"50%\r100%\n", [Line(b"50%\r100%", 1)]),
        ("a\u2028b\u0085c\x0bd\x0ce\x1cf\n".encode(), [Line("a\u2028b\u0085c\x0bd\x0ce\x1cf".encode(), 1)]),
        (b"12345\n", [Line(b"12345", 1)]),
        (b"12345\r\n", [Line(b"12345", 1)]),
        (b"123456\n", [Line(b"12345", 1, 1)]),
        (b"123456\r\n7", [Line(b"12345", 1, 1), Line(b"7", 2)]),
        (b"12345678901", [Line(b"12345", 1, 6)]),
        (b"12345\r", [Line(b"12345", 1, 1)]),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("step", [None, 1, 2, 3])
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, expected: list[Line], step: int | None) -> None:
    limit = 5 if data.startswith(b"12345") else 100
    assert split(data, limit, step) == expected


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"\xff", "\u2028".encode()])).map(b"".join),
    st.integers(1, 6),
    st.integers(1, 9),
)
def test_splitting_in_chunks_equals_splitting_the_whole(data: bytes, limit: int, step: int) -> None:
    contents = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        contents.pop()
    else:
        contents[-1] = data.rpartition(b"\n")[2]
    expected = [
        Line(content[:limit], number, max(0, len(content) - limit)) for number, content in enumerate(contents, 1)
    ]
    assert split(data, limit, step) == expected


def test_the_state_has_moved_on_before_the_lines_are_taken() -> None:
    splitter = LineSplitter(100)
    first, second = splitter.feed(b"a\nb\nc"), splitter.feed(b"d\ne\n")
    assert list(second) == [Line(b"cd", 3), Line(b"e", 4)]
    assert list(first) == [Line(b"a", 1), Line(b"b", 2)]


def test_the_end_is_the_place_after_the_last_line() -> None:
    splitter = LineSplitter(100)
    assert splitter.end() == Line(b"", 1)
    assert list(splitter.feed(b"a\nb")) == [Line(b"a", 1)]
    assert splitter.finish() == Line(b"b", 2)
    assert splitter.end() == Line(b"", 3)


def test_a_gigabyte_without_a_newline_takes_no_more_memory_than_the_bound() -> None:
    splitter = LineSplitter(64 * 1024)
    chunk = b"x" * (1024 * 1024)
    tracemalloc.start()
    try:
        for _ in range(1024):
            assert list(splitter.feed(chunk)) == []
        (line,) = splitter.feed(b"\r\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(line.data), line.cut_bytes) == (64 * 1024, 1024**3 - 64 * 1024)
    assert peak < 512 * 1024


def test_a_bound_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="max_line_bytes"):
        LineSplitter(0)
