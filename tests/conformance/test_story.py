from __future__ import annotations

from yoi_runtime.conformance.case import Level, load_cases
from yoi_runtime.conformance.story import Story


def test_a_finding_has_the_level_and_section_of_its_case_or_of_its_rule():
    story = Story(next(case for case in load_cases() if case.name == "half_open"))
    story.say("first")
    story.find("this", "that")
    story.break_rule("observation_only", "no message", "one")
    case, rule = story.findings
    assert (case.level, case.section, case.rule) == (Level.SHOULD, "v1", None)
    assert (rule.level, rule.section, rule.rule) == (Level.MUST, "runtimeobservation_only", "observation_only")
    assert story.lines[0].endswith(" s  first")
    assert story.seconds >= 0
