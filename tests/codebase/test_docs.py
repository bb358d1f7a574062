"""What the texts promise to name is named, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT, pyproject
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode
from yoi_runtime.protocol.stream_request import parse_stream_request
from yoi_runtime.protocol.transcript_fold import MAX_OPEN_BLOCKS, MAX_OPEN_CHARACTERS
from yoi_runtime.protocol.transcript_items import ITEM_KINDS, TranscriptAnswer, TranscriptItem
from yoi_runtime.protocol.transcript_query import DEFAULT_LIMIT, MAX_LIMIT, TranscriptQuery
from yoi_runtime.protocol.v1_frames import Bookmark, CaughtUp, End, Hello
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.transcript.options import TranscriptOptions

TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = ROOT / "docs" / "decisions"
TRANSCRIPT = (ROOT / "docs" / "transcript.md").read_text("utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")


def _anchors(text: str) -> set[str]:
    """Return the anchors of a text's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("code", list(DiagnosticCode))
def test_every_code_has_its_heading_and_its_close_code_and_status_stand_under_it(code: DiagnosticCode):
    section = PROTOCOL.partition(f"### `{code}`\n")[2].partition("\n#")[0]
    assert section, f"docs/protocol.md has no heading for {code}"
    spec = CODE_SPECS[code]
    for number in filter(None, (spec.http_status, spec.close_code)):
        assert str(int(number)) in section, f"{code}: {int(number)} does not stand under its heading"
    if spec.close_code or spec.http_status:
        assert spec.recovery in section, f"{code}: recovery {spec.recovery} does not stand under its heading"


@pytest.mark.parametrize("frame", [Hello, CaughtUp, Bookmark, End])
def test_every_field_of_every_v1_frame_is_named(frame: type[Hello | CaughtUp | Bookmark | End]):
    for name in frame.model_fields:
        assert f'"{name}"' in PROTOCOL or f"`{name}`" in PROTOCOL, f"{frame.__name__}.{name}"


@pytest.mark.parametrize("model", [TranscriptAnswer, TranscriptItem])
def test_every_field_of_a_transcript_is_explained(model: type[TranscriptAnswer | TranscriptItem]):
    for name in model.model_fields:
        assert f"`{name}`" in TRANSCRIPT or name in TranscriptQuery.__slots__ or name == "worker_id", name


def test_every_kind_of_item_and_every_bound_of_a_transcript_is_explained():
    for kind in ITEM_KINDS:
        assert f"`{kind}`" in TRANSCRIPT, kind
    options = TranscriptOptions()
    assert (options.max_items, options.max_bytes, options.max_total_bytes) == (10_000, 16 << 20, 1 << 30)
    assert all(bound in TRANSCRIPT for bound in ("| 10,000 |", "| 16 MiB |", "| 1 GiB |"))
    assert (MAX_LIMIT, DEFAULT_LIMIT, MAX_OPEN_CHARACTERS, MAX_OPEN_BLOCKS) == (1_000, 100, 262_144, 64)
    assert all(
        number in TRANSCRIPT for number in ("1 to 1,000; 100 without", "262,144 characters", "more than 64 blocks")
    )


def test_the_parameters_that_are_documented_are_the_ones_there_are():
    documented = set(re.findall(r"`(\w+)=", PROTOCOL.partition("## Connecting\n")[2].partition("\n## ")[0]))
    assert documented == {"cursor", "last_event_id", "from", "batch", "events"}
    for pair in [("cursor", "x"), ("last_event_id", "x"), ("from", "oldest"), ("batch", "1"), ("events", "a,b")]:
        parse_stream_request(None, [pair], ["yoi.events.v1"])


def test_decisions_are_listed_with_their_numbers_and_titles_and_so_is_every_gap():
    contents = (DECISIONS / "README.md").read_text("utf-8")
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", contents, re.MULTILINE)
    pages = sorted(path.name for path in DECISIONS.glob("0*.md"))
    assert [name for _, _, name in listed] == pages
    numbers = {int(name[:4]) for name in pages}
    gaps = re.search(r"Numbers without a page: ([\d, ]+)", contents)
    told = {int(number) for number in gaps[1].split(",")} if gaps else set()
    assert set(range(1, max(numbers) + 1)) - numbers == told
    for number, title, name in listed:
        assert (DECISIONS / name).read_text("utf-8").splitlines()[0] == f"# {number}. {title}"


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("0*.md")), ids=lambda path: path.name)
def test_a_decision_says_what_would_change_it(page: Path):
    assert "**Would change our mind.**" in page.read_text("utf-8")


def test_every_dependency_stands_in_the_decision_on_them():
    text = (DECISIONS / "0007-dependencies.md").read_text("utf-8").lower()
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    lines = [*project["dependencies"], *pyproject()["build-system"]["requires"]]
    lines += [line for part in (project["optional-dependencies"], groups) for some in part.values() for line in some]
    names = {re.match(r"[\w-]+", line)[0] for line in lines} - {project["name"]}  # type: ignore[index]
    assert len(names) > 10
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)} == set()


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(text: Path):
    content = text.read_text("utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", content):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (text.parent / path).resolve() if path else text
        assert linked.exists(), f"{text.name}: {target}"
        if anchor:
            assert anchor in _anchors(linked.read_text("utf-8")), f"{text.name}: no heading for {target}"


def test_the_defaults_in_the_texts_are_the_programs():
    options = RuntimeOptions()
    assert (options.segment_bytes, options.retain_bytes, options.retain_age_seconds) == (16 << 20, 1 << 30, 7 * 86_400)
    assert "at most 256 KiB" in (ROOT / "docs" / "log-format.md").read_text("utf-8")
    assert options.log.max_record_bytes == 256 << 10
