from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from tools.bench.figures import Figure, Result, Target
from tools.bench.plot import as_svg
from tools.bench.report import Circumstances, write_section

RESULT = Result(
    "small",
    "How.",
    (
        Figure("ours & theirs", "/s", (100.0, 200.0, 150.0), Target(at_least=120)),
        Figure("theirs", "/s", (50.0, 50.0, 50.0)),
        Figure("ours to theirs", "", (3.0, 3.0, 3.0), Target(at_least=4)),
    ),
)


def bars(svg: str) -> list[float]:
    namespace = "{http://www.w3.org/2000/svg}"
    return [float(bar.attrib["width"]) for bar in ET.fromstring(svg).iter(f"{namespace}rect")][1:]


def test_a_bar_is_as_long_as_its_median_among_figures_of_its_unit():
    ours, theirs, ratio = bars(as_svg(RESULT))
    assert ours == 3 * theirs
    assert ratio > ours, "another unit, another scale"


def test_names_are_text_and_a_missed_target_has_a_color_of_its_own():
    svg = as_svg(RESULT)
    assert "ours &amp; theirs" in svg
    assert svg.count("#2f7d4f") == svg.count("#b3541e") == svg.count("#8a94a6") == 1


def test_the_picture_stands_beside_the_document_and_in_it(tmp_path: Path):
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- begin of small -->\n<!-- end of small -->\nafter\n")
    write_section(document, RESULT, Circumstances("2026-01-01", "a machine", 0.0, False))
    assert "![small](performance/small.svg)" in document.read_text()
    assert (tmp_path / "performance" / "small.svg").read_text() == as_svg(RESULT)
