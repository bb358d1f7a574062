"""What is told to the operator has a name, and docs/operations.md says what each name means."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT, modules
from yoi_runtime.notices import Notice
from yoi_runtime.server.metrics import METRIC_NAMES

OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
EXAMPLES = ROOT / "docs" / "examples"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def section(title: str) -> str:
    return OPERATIONS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, list[str]]:
    """Return the rows of a section's table by the name in their first column."""
    found = {}
    for line in section(title).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if match := re.fullmatch(r"`(\w+)`", cells[0]):
            found[match[1]] = cells[1:]
    return found


def log_calls(path: Path) -> list[ast.Call]:
    """Return the calls of loggers in a module."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and isinstance(node.func.value, ast.Name)
        and re.fullmatch(r"_?\w*(log|logger)", node.func.value.id)
        and node.func.value.id != "math"
    ]


def test_everything_that_is_logged_has_a_name():
    nameless, count = [], 0
    for path in modules():
        for call in log_calls(path):
            count += 1
            extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
            if extra is None:
                nameless.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert count > 35
    assert nameless == []


def test_a_log_call_without_a_name_is_found(tmp_path: Path):
    file = tmp_path / "x.py"
    file.write_text('_log.warning("x")\n_log.exception("y", extra=named(Notice.TOLD))\nother.warning("z")\n')
    assert len(log_calls(file)) == 2


def test_every_name_is_used():
    used = {
        node.attr
        for path in modules()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Notice"
    }
    assert used == set(Notice.__members__)


def test_every_log_event_is_documented_and_no_other():
    told = rows("Log events")
    assert set(told) == {notice.value for notice in Notice}
    assert [name for name, (level, meaning, *_) in told.items() if not level or not meaning] == []


def test_every_metric_is_documented_and_no_other():
    told = rows("Metrics")
    assert set(told) == set(METRIC_NAMES)
    for name, (kind, _) in told.items():
        assert (kind == "counter") == name.endswith("_total"), name


@pytest.mark.parametrize("file", ["prometheus-rules.yml", "grafana-dashboard.json"])
def test_the_examples_ask_for_metrics_that_there_are(file: str):
    text = (EXAMPLES / file).read_text("utf-8")
    if file.endswith(".json"):
        json.loads(text)
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\byoi_\w+", text)} - {"yoi_runtime"}
    assert len(asked) > 6
    assert asked <= set(METRIC_NAMES)


def test_the_service_units_agree_on_how_the_manager_is_told():
    unit = (ROOT / "docs" / "yoi-runtime.service").read_text("utf-8")
    module = (ROOT / "nix" / "module.nix").read_text("utf-8")
    for name, value in (("Type", "notify"), ("NotifyAccess", "main"), ("WatchdogSec", "20"), ("TimeoutStopSec", "20")):
        assert re.search(rf"^{name}={value}$", unit, re.MULTILINE), name
        assert re.search(rf'^\s+{name} = "?{value}"?;$', module, re.MULTILINE), name
