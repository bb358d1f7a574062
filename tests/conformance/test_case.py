from __future__ import annotations

from pathlib import Path

import pytest

from tests.codebase.test_docs import PROTOCOL, _anchors
from tests.codebase.tree import ROOT
from yoi_runtime.conformance.case import Case, Close, Diagnose, Refuse, load_cases, read_cases
from yoi_runtime.conformance.result import RULES
from yoi_runtime.errors import CaseInvalidError
from yoi_runtime.protocol.diagnostics import CODE_SPECS, DiagnosticCode

CASES = load_cases()
GOOD = """
[[case]]
name = "own"
says = "Something."
section = "event"

[[case.connection]]
play = [{ do = "start" }, { do = "events", first = 1, last = 2 }]
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_section_that_demands_it_exists(case: Case):
    assert case.section in _anchors(PROTOCOL), f"docs/protocol.md has no heading for #{case.section}"


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_section_that_demands_a_rule_exists(name: str):
    assert RULES[name].section in _anchors(PROTOCOL)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_played_is_what_a_runtime_may_do(case: Case):
    """Codes, statuses and close codes are those of the protocol's table, or plainly of a later version."""
    assert case.says.endswith(".")
    for connection in case.connection:
        said = None
        for step in connection.play:
            if isinstance(step, Refuse):
                assert CODE_SPECS[DiagnosticCode(step.code)].http_status == step.status
            if isinstance(step, Diagnose):
                said = step.code if step.code in list(DiagnosticCode) else None
            if isinstance(step, Close) and said is not None:
                assert CODE_SPECS[DiagnosticCode(said)].close_code == step.code
                assert step.reason == said


def test_every_code_that_ends_a_stream_or_refuses_it_is_played():
    steps = [step for case in CASES for connection in case.connection for step in connection.play]
    played = {step.code for step in steps if isinstance(step, Diagnose | Refuse)}
    # The first three are refusals like 401; the fourth only a client that sends data can earn; the last says come back.
    alike = {"runtime.forbidden", "runtime.origin_refused", "runtime.observation_only", "runtime.internal"}
    elsewhere = {"runtime.items_expired"}  # of transcripts, which have no stream
    assert {code.value for code in DiagnosticCode} - alike - elsewhere <= played


def test_own_cases_are_read_and_come_after_the_kits(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    assert [case.name for case in read_cases(path)] == ["own"]
    assert [case.name for case in load_cases([path])] == [*(case.name for case in CASES), "own"]


@pytest.mark.parametrize(
    ("wrong", "right", "reason"),
    [
        ("[[case", "[[case]]", "Expected"),
        ('do = "begin"', 'do = "start"', "begin"),
        ("section_ =", "section =", "section"),
        ("first = 3, last = 2", "first = 1, last = 2", "last is before first"),
        ('do = "caught_up", at = 1', 'do = "start"', "of v1"),
        ('do = "refuse", status = 503, code = "runtime.unavailable"', 'do = "start"', "only step"),
        ('do = "kill_client"', 'do = "start"', "restart"),
        ('name = "a b"', 'name = "own"', "name"),
    ],
)
def test_a_case_that_cannot_be_played_is_refused_with_its_place(tmp_path: Path, wrong: str, right: str, reason: str):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace(right, wrong, 1))
    with pytest.raises(CaseInvalidError, match=r"own\.toml: ") as error:
        read_cases(path)
    assert reason in str(error.value)


def test_a_name_given_twice_is_refused(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace('"own"', '"torn_frame"'))
    with pytest.raises(CaseInvalidError, match="torn_frame: there are two"):
        load_cases([path])


def test_the_example_of_a_case_in_the_manual_is_the_kits_own(tmp_path: Path):
    manual = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    path = tmp_path / "manual.toml"
    path.write_text(manual.partition("```toml\n")[2].partition("```")[0], "utf-8")
    (case,) = read_cases(path)
    assert case == next(own for own in CASES if own.name == case.name)


def test_the_manual_names_every_step_and_every_field_of_a_case():
    manual = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    steps = Case.model_json_schema()["$defs"]
    names = {fields["properties"]["do"]["const"] for fields in steps.values() if "do" in fields.get("properties", {})}
    assert len(names) == 17
    asks = set(steps["Asks"]["properties"])
    for name in names | asks | set(Case.model_fields) - {"connection"}:
        assert f"`{name}`" in manual, name
