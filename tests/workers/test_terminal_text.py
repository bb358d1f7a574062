r"""What is left of a terminal's bytes. The samples are what these programs write, cut short."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.workers.terminal_line import TerminalLine
from yoi_runtime.workers.terminal_text import TerminalText

COLUMNS = 80


def shown(*chunks: str | bytes) -> str:
    text = TerminalText(COLUMNS)
    parts = [text.feed(chunk.encode() if isinstance(chunk, str) else chunk) for chunk in chunks]
    return b"".join([*parts, text.finish()]).decode("utf-8", "surrogateescape")


CODES = [
    ("colours", "\x1b[1;32mok\x1b[0m \x1b[38;2;1;2;3mred\x1b[38:5:1m!\x1b[m\r\n", "ok red!\n"),
    ("a title", "\x1b]0;a title\x07hi\n", "hi\n"),
    ("a title, ended by ST", "\x1b]2;a title\x1b\\hi\n", "hi\n"),
    ("a link", "\x1b]8;;https://example.org\x1b\\here\x1b]8;;\x1b\\\n", "here\n"),
    ("a device control string", "\x1bP1$r0m\n\x1b\\hi\n", "hi\n"),
    ("private messages and the like", "\x1b^a\x1b\\\x1b_b\x1b\\\x1bXc\x1b\\hi\n", "hi\n"),
    ("C1 in eight bits", "\x9b31mred\x9b0m \x9d0;title\x9cx\x90q\x9c\n", "red x\n"),
    ("NEL and IND", "a\x85b\x84c\x1bEd\x1bDe", "a\nb\nc\nd\ne"),
    ("character sets", "\x1b(0lqqk\x1b(B \x1b)0\x0ex\x0fx \x1b%G\x1b(B\n", "┌──┐ │x \n"),
    ("modes and questions", "\x1b[?25l\x1b[?2004h\x1b[>4;2m\x1b[c\x1b[6n\x1b=\x1b>\x1b7\x1b8\x1bchi\n", "hi\n"),
    ("bells and nothings", "\x07h\x00i\x7f\n", "hi\n"),
    ("a cancelled sequence", "\x1b[3\x18hi \x1b]0;x\x1ayou\n", "hi you\n"),
    ("a sequence within a sequence", "\x1b[3\x1b[1mhi\n", "hi\n"),
    ("a control within a sequence", "ab\x1b[\r1mc\n", "cb\n"),
    ("a sequence that is none", "\x1b[3éa\n", "éa\n"),
    ("a sequence without end", f"\x1b[{'1;' * 200}mhi\n", f";{'1;' * 71}mhi\n"),
    ("a string without end", "\x1b]0;" + "x" * (4 << 20) + "\nhi\n", "xx\nhi\n"),
    ("an escape at the end", "hi\x1b", "hi"),
    ("a progress bar", "  0%|    |\r 50%|##  |\r100%|####|\r\n", "100%|####|\n"),
    ("a shorter one over a longer one", "longer\rab\r\n", "abnger\n"),
    ("a spinner that cleans up", "- wait\r\\ wait\r\x1b[Kdone\r\n", "done\n"),
    ("a line cleared as a whole", "wait\x1b[2K\rdone\n\x1b[1Mx\n", "done\nx\n"),
    ("erased up to here", "abc\x1b[2D\x1b[1K\n", "  c\n"),
    ("backspaces", "abx\bc \b\n", "abc \n"),
    ("overstrike, as man does", "b\bbo\bol\bld\bd _\bu_\bn\n", "bold un\n"),
    ("backspace at the beginning", "\b\ba\n", "a\n"),
    ("tabs", "a\tb\t\tc\n", "a\tb\t\tc\n"),
    ("over a tab", "a\tb\rxyz\n", "xyz     b\n"),
    ("a tab over text", "abcdefghij\r\tX\n", "abcdefghXj\n"),
    ("wide characters", "日本\rab\n日本\rxyz\n日本\b!\n", "ab本\nxyz \n日 !\n"),
    ("accents", "e\u0301x\r\u0301y\n", "\u0301y\n"),
    ("to the right", "\x1b[3Ca\x1b[2Cb\x1b[2Gc\x1b[D!\n", " ! a  b\n"),
    ("as far as the window goes", "\x1b[99999999999999999999C|\n", f"{' ' * 79}|\n"),
    ("insert and delete", "abcd\r\x1b[2@\x1b[1C\x1b[1P!\n", " !bcd\n"),
    ("blank out", "abcd\x1b[3D\x1b[2X!\n", "a! d\n"),
    ("repeat", "a-\x1b[4bb\n", "a-----b\n"),
    ("repeat nothing", "\x1b[4ba\t\x1b[3bb\n", "a\tb\n"),
    ("return, return, newline", "a\r\r\n", "a\n"),
    ("not UTF-8", b"a\xffb\x9bc\n", "a\udcffb\udc9bc\n"),
    ("nothing after it", "last", "last"),
]


@pytest.mark.parametrize(("codes", "text"), [case[1:] for case in CODES], ids=[case[0] for case in CODES])
def test_codes_are_taken_out_and_the_line_is_as_the_terminal_shows_it(codes: str | bytes, text: str):
    assert shown(codes) == text
    data = codes.encode() if isinstance(codes, str) else codes
    if len(data) < 1000:
        assert shown(*(data[at : at + 1] for at in range(len(data)))) == text, "byte by byte"


VIM = (
    "\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[1;24r\x1b[?12h\x1b[?12l\x1b[22;2t\x1b[22;1t\x1b[27m\x1b[23m"
    '\x1b[29m\x1b[m\x1b[H\x1b[2J\x1b[?25l\x1b[24;1H"notes.txt" 2L, 12B\x1b[1;1Hfirst\r\nsecond\r\n\x1b[94m~\x1b[4;1H~\x1b[m'
    "\x1b[24;63H1,1\x1b[11CAll\x1b[1;1H\x1b[?25h\x1b[?25l\x1b[24;1H\x1b[K\x1b[24;1H:q\r\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049l"
)
LESS = "\x1b[?1049h\x1b[?1h\x1b=\rone\x1b[m\ntwo\x1b[m\n\x1b[7m(END)\x1b[27m\x1b[K\r\x1b[K\x1b[?1l\x1b>\x1b[?1049l"
PULL = "a: waiting\r\nb: waiting\r\n\x1b[2A\x1b[2K\ra: done\r\x1b[2B\x1b[1A\x1b[2K\rb: done\r\x1b[1B"
PIP = (
    "\x1b[?25l     \x1b[90m━━━━\x1b[0m \x1b[32m0.0/1.4 MB\x1b[0m \x1b[31m?\x1b[0m eta \x1b[36m-:--:--\x1b[0m"
    "\r\x1b[2K     \x1b[91m━━━━\x1b[0m \x1b[32m1.4/1.4 MB\x1b[0m \x1b[31m9.9 MB/s\x1b[0m\r\n\x1b[?25hInstalled\r\n"
)


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (VIM, '"notes.txt" 2L, 12B\nfirst\nsecond\n~\n~\n1,1           All\n:q'),
        (LESS, "one\ntwo\n"),
        (PULL, "a: waiting\nb: waiting\na: done\nb: done\n"),
        (PIP, "     ━━━━ 1.4/1.4 MB 9.9 MB/s\nInstalled\n"),
    ],
    ids=["vim", "less", "several bars", "pip"],
)
def test_whole_programs_leave_their_text_as_lines(codes: str, text: str):
    found = shown(codes)
    # Where a program goes is not drawn: what stands far to the right begins its line with blanks.
    assert [line.strip() for line in found.splitlines()] == [line.strip() for line in text.splitlines()]
    assert "\x1b" not in found


# Any text, and codes that draw nothing.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029"), max_size=30)
LINES = st.lists(TEXT, max_size=6).map("\n".join)
INVISIBLE = st.one_of(
    st.from_regex(r"\x1b\[[0-9;]{0,6}m", fullmatch=True),
    st.from_regex(r"\x1b\][0-9];[ -~]{0,8}(?:\x07|\x1b\\)", fullmatch=True),
    st.from_regex(r"\x1bP[ -~]{0,8}\x1b\\", fullmatch=True),
    st.from_regex(r"\x1b\[\?[0-9]{1,4}[hl]", fullmatch=True),
    st.sampled_from(["\x07", "\x00", "\x1b7", "\x1b=", "\x1b(B", "\x9b0m"]),
)
ANYTHING = st.lists(
    st.one_of(TEXT, INVISIBLE, st.text("\x1b[]PX(0;19mKHGCDb@\r\b\n\t\x9b\x9c\x18", max_size=8)), max_size=12
).map("".join)
seen: Counter[str] = Counter()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(LINES, st.lists(st.integers(0, 10_000), max_size=6))
def test_text_without_codes_stays_as_it_is(text: str, cuts: list[int]):
    assert shown(*pieces(text.encode(), cuts)) == text


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_never_fail_and_leave_no_control_behind(data: bytes):
    found = shown(data)
    assert not [character for character in found if character < " " and character not in "\t\n"]
    assert not [character for character in found if "\x7f" <= character <= "\x9f"]


@given(ANYTHING, st.lists(st.integers(0, 10_000), max_size=6))
def test_where_the_bytes_are_cut_makes_no_difference(text: str, cuts: list[int]):
    seen["cut streams"] += 1
    seen["with codes"] += "\x1b" in text
    data = text.encode()
    assert shown(*pieces(data, cuts)) == shown(data)


@given(st.lists(st.tuples(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5), INVISIBLE)))
def test_codes_that_draw_nothing_leave_the_text_between_them(parts: list[tuple[str, str]]):
    assert shown("".join(text + code for text, code in parts)) == "".join(text for text, _ in parts)


@given(st.lists(st.text("abc \b\r\n", max_size=12), max_size=6))
def test_overstrike_agrees_with_a_plain_model(parts: list[str]):
    lines, cells, column = list[str](), list[str](), 0
    for character in "".join(parts):
        if character == "\n":
            lines.append("".join(cells))
            cells, column = [], 0
        elif character == "\r":
            column = 0
        elif character == "\b":
            column = max(column - 1, 0)
        else:
            cells[column : column + 1] = [character]
            column += 1
    assert shown("".join(parts)) == "\n".join([*lines, "".join(cells)])


def test_the_properties_saw_codes(capsys: pytest.CaptureFixture[str]):
    if not seen:
        pytest.skip("the properties ran in another process")
    with capsys.disabled():
        print(f"\nterminal text: {dict(seen)}")  # noqa: T201
    assert seen["with codes"] > 20


def test_a_line_without_end_is_let_go_of_in_pieces_and_memory_stays_bounded():
    text = TerminalText(COLUMNS)
    out = b"".join(text.feed(b"x" * 4096) for _ in range(64))
    assert 64 * 4096 - TerminalLine.most_cells <= len(out) < 64 * 4096
    assert len(out + text.finish()) == 64 * 4096
