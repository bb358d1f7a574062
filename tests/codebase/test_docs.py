"""What the texts promise to name is named, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.codebase.tree import ROOT, modules
from tests.golden.make_frames import frames_of, golden_streams
from yoi_runtime.protocol import http_models
from yoi_runtime.protocol.diagnostics import CODE_SPECS, Diagnostic, DiagnosticCode, Lost, LostWorker
from yoi_runtime.protocol.stream_request import parse_stream_request
from yoi_runtime.protocol.v1_frames import Bookmark, CaughtUp, End, Hello
from yoi_runtime.runtime.options import RuntimeOptions

TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")
HTTP_MODELS = [getattr(http_models, name) for name in http_models.__all__]


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


@pytest.mark.parametrize("model", [Diagnostic, Lost, LostWorker, *HTTP_MODELS])
def test_every_member_of_a_diagnostic_and_of_an_answer_is_named(model: type[BaseModel]):
    for name in model.model_fields:
        assert f'"{name}"' in PROTOCOL or f"`{name}`" in PROTOCOL, f"{model.__name__}.{name}"


def examples() -> list[str]:
    """Return the frames that the specification shows, a batch with the newlines that it has."""
    blocks = re.findall(r"^```(?:json|text)\n(.*?)\n```$", PROTOCOL, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if block.startswith('{"kind":')]


def test_the_examples_are_golden_frames_of_every_kind():
    golden = {frame.decode() for stream in golden_streams() for frame in frames_of(stream)}
    assert [example for example in examples() if example not in golden] == [], "not what a server sends"
    kinds = {example.split('"')[3] for example in examples()}
    assert kinds == {"event", "diagnostic", "hello", "caught_up", "bookmark", "end", "batch"}


def test_the_sections_that_the_code_points_to_are_there():
    missing = []
    for path in modules(ROOT / "yoi_runtime"):
        for named in re.findall(r'docs/protocol\.md, ("[^"\n]+"(?: and "[^"\n]+")*)', path.read_text("utf-8")):
            missing += [(path.name, name) for name in re.findall(r'"([^"]+)"', named) if not _is_heading(name)]
    assert missing == []


def _is_heading(name: str) -> bool:
    return name.lower() in {found.lower() for found in re.findall(r"^#+ (.*)$", PROTOCOL, re.MULTILINE)}


def test_a_section_says_where_its_code_comes_as_the_table_has_it():
    for code, spec in CODE_SPECS.items():
        section = PROTOCOL.partition(f"### `{code}`\n")[2].partition("\n#")[0]
        assert bool(re.search("Before|Over HTTP", section)) == (spec.http_status is not None), code
        where = ("First frame", "in a stream", "In a stream")
        assert any(word in section for word in where) == (
            spec.close_code is not None or code is DiagnosticCode.STREAM_OPENED
        ), code


def test_the_parameters_that_are_documented_are_the_ones_there_are():
    documented = set(re.findall(r"`(\w+)=", PROTOCOL.partition("## Connecting\n")[2].partition("\n## ")[0]))
    assert documented == {"cursor", "last_event_id", "from", "batch", "events"}
    for pair in [("cursor", "x"), ("last_event_id", "x"), ("from", "oldest"), ("batch", "1"), ("events", "a,b")]:
        parse_stream_request(None, [pair], ["yoi.events.v1"])


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
