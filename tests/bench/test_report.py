"""The report: the sections of docs/performance.md are replaced, and nothing else of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tools.bench.figures import Figure, Result, Target
from tools.bench.registry import BENCHES
from tools.bench.report import Circumstances, MarkerError, as_json, as_text, write_section

WHEN = Circumstances("2026-11-22", "a machine", 0.02, quick=False)
RESULT = Result(
    "append",
    "How it was done.",
    (
        Figure("ours", "/s", (10.0, 30.0, 20.0), Target(at_least=15)),
        Figure("to theirs", "", (1.5, 1.5, 1.5), Target(at_least=2)),
    ),
    ("Peer 1.0",),
)
DOCUMENT = """# Title

<!-- begin of append -->
old
<!-- end of append -->

Words of ours.

<!-- begin of open -->
old, too
<!-- end of open -->
"""


def test_a_section_is_replaced_between_its_markers_and_the_rest_stays(tmp_path: Path):
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT)
    write_section(document, RESULT, WHEN)
    text = document.read_text()
    new = text.removeprefix("# Title\n\n<!-- begin of append -->\n").removesuffix(
        DOCUMENT[DOCUMENT.index("<!-- end of append") :]
    )
    assert new != text
    assert "| ours | 20/s | 10 .. 30 | >= 15 | met |" in new
    assert "| to theirs | 1.5 | 1.5 .. 1.5 | >= 2 | not met |" in new
    assert "How it was done." in new
    assert "2026-11-22; a machine; Peer 1.0; rounds: 3; others used 2% of the processors just before." in new
    assert "old\n" not in new
    write_section(document, RESULT, WHEN)
    assert document.read_text() == text, "writing the same again changes nothing"


@pytest.mark.parametrize("lost", ["<!-- begin of append -->\n", "<!-- end of append -->"])
def test_without_its_markers_nothing_is_written(tmp_path: Path, lost: str):
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT.replace(lost, ""))
    with pytest.raises(MarkerError, match="append"):
        write_section(document, RESULT, WHEN)
    assert document.read_text() == DOCUMENT.replace(lost, "")


def test_the_text_for_people_has_a_row_for_each_figure_and_says_when_it_was_quick():
    text = as_text(RESULT, WHEN)
    assert "ours" in text
    assert "not met" in text
    assert "Quick" not in text
    assert "Quick" in as_text(RESULT, Circumstances("2026-11-22", "a machine", None, quick=True))


def test_json_is_one_object():
    answer = json.loads(as_json([RESULT, RESULT], WHEN))
    assert [bench["name"] for bench in answer["benches"]] == ["append", "append"]
    assert answer["benches"][0]["figures"][0]["values"] == [10.0, 30.0, 20.0]
    assert (answer["machine"], answer["busy"], answer["quick"]) == ("a machine", 0.02, False)


def test_every_bench_has_its_section_in_the_document(tmp_path: Path):
    copy = tmp_path / "performance.md"
    copy.write_bytes((ROOT / "docs" / "performance.md").read_bytes())
    for name in BENCHES:
        write_section(copy, Result(name, RESULT.method, RESULT.figures), WHEN)
