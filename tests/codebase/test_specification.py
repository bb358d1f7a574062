"""docs/protocol.md is the specification: it names everything that travels, and its examples are what a server sends."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from tests.codebase.test_docs import PROTOCOL
from tests.codebase.tree import ROOT, modules
from tests.golden.make_frames import frames_of, golden_streams
from yoi_runtime.protocol import http_models
from yoi_runtime.protocol.diagnostics import CODE_SPECS, Diagnostic, DiagnosticCode, Lost, LostWorker

HTTP_MODELS = [getattr(http_models, name) for name in http_models.__all__]


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
