from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.timeline import read_timeline
from yoi_log.timeline_page import page_data, render_page, script_json

from tests.yoi_log.browser import CHROMIUM, Page, open_page
from tests.yoi_log.sample import GOLDEN, RECORDINGS
from tests.yoi_log.story import Story, busy_log
from yoi_runtime.events import TextDelta, UnknownEvent

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
EVIL = "</script><script>alert(1)</script><!--<script> \u2028\u2029 \" ' & \\u003c"


def write_page(data: Path, file: Path) -> Path:
    file.write_text(render_page(read_timeline(find_log(data), progress=lambda _: None)), "utf-8")
    return file


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    story = Story(directory / "evil-data").say(TextDelta(text=EVIL), 1.0, UnknownEvent(name=EVIL, data=EVIL))
    busy = busy_log(directory / "busy-data", 100_000)
    hurt = GOLDEN / "corrupt_middle"
    sources = {"hurt": hurt, **{path.name: path for path in RECORDINGS.iterdir()}, "evil": story.close(), "busy": busy}
    return {name: write_page(data, directory / f"{name}.html") for name, data in sources.items()}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with open_page(tmp_path / "profile") as page:
        yield page
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith(("file:///", "data:"))] == []
        assert len(page.requests) <= 2, "the page asked for another file"


# Without a browser


def test_the_data_in_the_page_are_the_picture_s_whatever_an_event_says(pages: dict[str, Path]):
    text = pages["evil"].read_text("utf-8")
    assert text.count("</script>") == 2
    assert text.count("<script") == 2
    assert "\u2028" not in text
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert EVIL in data["names"]
    assert json.loads(data["text"][data["name"].index(data["names"].index("text_delta"))])["data"]["text"] == EVIL


def test_the_page_names_nothing_to_load(pages: dict[str, Path]):
    text = pages["agents"].read_text("utf-8")
    assert "@@" not in text
    assert re.findall(r"https?:|<link|src=|@import|url\(", text) == []
    assert "default-src 'none'" in text


def test_columns_have_one_entry_for_each_event():
    data = page_data(read_timeline(find_log(RECORDINGS / "agents"), progress=lambda _: None))
    assert {len(data[name]) for name in ("time", "lane", "name", "seq", "worker_seq", "text")} == {data["events"]}
    assert max(data["time"]) == data["length_us"]


def test_escaped_json_is_the_same_json():
    assert json.loads(script_json([EVIL])) == [EVIL]
    assert "<" not in script_json([EVIL])


# In a browser


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (900, 640), (390, 780)])
def test_every_recording_is_drawn_at_every_size(
    pages: dict[str, Path], page: Page, width: int, height: int, dark: bool
):
    for name in ("agents", "build", "restarts", "evil"):
        page.requests.clear()
        page.load(pages[name], width, height, dark=dark)
        view = page.js("timeline.view()")
        assert view["count"] > 0
        assert page.js("document.documentElement.scrollWidth") <= width
        assert page.js("document.documentElement.dataset.theme") == ("dark" if dark else "light")
        # Hundreds of colours stand for something drawn; an empty canvas has one.
        colors = page.js(
            "new Set(new Uint32Array(document.getElementById('chart').getContext('2d').getImageData(0, 0,"
            " document.getElementById('chart').width, document.getElementById('chart').height).data.buffer)).size"
        )
        assert colors > 20
        picture = page.picture()
        assert struct.unpack(">II", picture[16:24]) == (width, height)


def place_of(page: Page, what: str) -> tuple[float, float]:
    """Return the middle of the first thing on the chart for which the JavaScript condition ``what`` holds."""
    found = page.js(
        f"(() => {{ const hit = timeline.hits().find((hit) => {what}); const box = document.getElementById('chart')"
        ".getBoundingClientRect(); return hit && [box.left + hit.x + hit.w / 2, box.top + hit.y + hit.h / 2]; })()"
    )
    assert found, what
    return found[0], found[1]


@needs_browser
def test_a_click_shows_the_event_and_keys_go_on_from_there(pages: dict[str, Path], page: Page):
    page.load(pages["agents"], 1440, 900)
    page.click(*place_of(page, "hit.bar && hit.bar.kind === 'tool' && hit.bar.state === 'failed'"))
    panel = "document.getElementById('panel')"
    assert not page.js(f"{panel}.hidden")
    assert "tool_call_start" in page.js(f"{panel}.textContent")
    assert "failed" in page.js(f"{panel}.textContent")
    first = page.js("timeline.view().selected")
    page.key("n")
    assert page.js("timeline.view().selected") > first
    page.key("p")
    assert page.js("timeline.view().selected") == first
    page.click(*place_of(page, "hit.rank === 6"))
    assert "overloaded_error" in page.js(f"{panel}.textContent")
    page.key("Escape")
    assert page.js(f"{panel}.hidden")


@needs_browser
def test_wheel_keys_and_dragging_move_the_view(pages: dict[str, Path], page: Page):
    page.load(pages["agents"], 1200, 800)
    whole = page.js("timeline.view()")
    page.mouse("mouseWheel", 700, 500, deltaX=0, deltaY=-240)
    page.frame()
    near = page.js("timeline.view()")
    assert near["to"] - near["from"] < 0.8 * (whole["to"] - whole["from"])
    page.mouse("mousePressed", 900, 500, button="left", clickCount=1)
    for x in (850, 800, 700):
        page.mouse("mouseMoved", x, 500, button="left", buttons=1)
    page.mouse("mouseReleased", 700, 500, button="left", clickCount=1)
    page.frame()
    moved = page.js("timeline.view()")
    assert moved["from"] > near["from"]
    assert moved["to"] - moved["from"] == pytest.approx(near["to"] - near["from"])
    page.key("0")
    assert page.js("timeline.view().to") == pytest.approx(whole["to"])
    page.key("+")
    assert page.js("timeline.view().to") < whole["to"]


@needs_browser
def test_search_finds_and_chips_hide(pages: dict[str, Path], page: Page):
    page.load(pages["agents"], 1200, 800)
    page.js("document.getElementById('search').focus()")
    page.send("Input.insertText", text="overloaded")
    assert (
        page.js(
            "new Promise((done) => { const look = () => document.getElementById('found').textContent"
            " ? done(document.getElementById('found').textContent) : requestAnimationFrame(look); look(); })"
        )
        == "2"
    )
    marks = "timeline.hits().filter((hit) => hit.rank === 6).length"
    before = page.js(marks)
    page.js("document.querySelector('[data-group=retry]').click()")
    page.frame()
    assert page.js(marks) == before - 2


@needs_browser
def test_text_of_an_event_is_text_in_tip_and_panel(pages: dict[str, Path], page: Page):
    page.load(pages["evil"], 1200, 800)
    for index in range(page.js("timeline.view().count")):
        page.js(f"timeline.select({index})")
    page.js("timeline.select(document.getElementById('panel') && timeline.view().count - 3)")
    assert page.js("document.querySelectorAll('#panel script, #tip script').length") == 0
    x, y = place_of(page, "hit.lane && hit.lane.id === 'a'")
    for step in range(-400, 400, 10):
        page.mouse("mouseMoved", x + step, y)
    assert page.js("document.querySelectorAll('script').length") == 2


@needs_browser
def test_a_damaged_place_says_what_is_missing(pages: dict[str, Path], page: Page):
    page.load(pages["hurt"], 1000, 600)
    x, _ = place_of(page, "hit.gap && hit.gap.kind === 'damage'")
    page.mouse("mouseMoved", x, page.js("document.getElementById('chart').getBoundingClientRect().bottom") - 20)
    assert "seq 11 cannot be read" in page.js("document.getElementById('tip').textContent")
    assert not page.js("document.getElementById('tip').hidden")


@needs_browser
def test_a_hundred_thousand_events_do_not_stall(pages: dict[str, Path], page: Page):
    page.load(pages["busy"], 1440, 900)
    assert page.js("timeline.view().count") >= 100_000
    # Drawn whole, in part and near: the median of each, so that one turn of a busy machine does not count.
    draws = page.js(
        "[1, 0.1, 0.001].map((share) => { const { length } = timeline.view(); timeline.show(length * 0.4,"
        " length * (0.4 + share)); const times = []; for (let turn = 0; turn < 9; turn++) { const begin ="
        " performance.now(); timeline.redraw(); times.push(performance.now() - begin); }"
        " return times.sort((a, b) => a - b)[4]; })"
    )
    assert max(draws) < 200, draws
    page.js("timeline.fit()")
    page.frame()
    x, y = place_of(page, "hit.lane && hit.lane.id === 'worker-3'")
    page.click(x, y)
    assert page.js("timeline.view().selected") >= 0
