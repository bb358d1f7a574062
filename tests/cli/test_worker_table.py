from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.cli.worker_table import WorkerTable
from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

FOR_ALL = WorkerPlan("a", (), "lines", restart=RestartPolicy("on-failure"), stop_grace_seconds=9.0)
ENVIRONMENT = {"PATH": "/bin", "HOME": "/home", "TERM": "dumb"}
BASE = Path("/etc/yoi")


def plan(for_all: WorkerPlan = FOR_ALL, **table: Any) -> WorkerPlan:
    made = WorkerTable.model_validate({"command": "true", **table})
    return made.plan(for_all, TerminalOptions(100, 30), ENVIRONMENT, BASE)


def test_what_a_table_does_not_say_is_as_for_all():
    assert plan() == WorkerPlan(
        "a", ("true",), "lines", None, None, None, RestartPolicy("on-failure"), stop_grace_seconds=9.0
    )
    on_terminals = WorkerPlan("a", (), terminal=TerminalOptions(100, 30))
    assert plan(on_terminals).terminal == TerminalOptions(100, 30)
    assert plan(on_terminals, pty=False).terminal is None


def test_what_it_says_counts():
    made = plan(
        command="sh -c 'echo $HOME'",
        cwd="work",
        adapter="jsonl",
        restart="always",
        restart_delay="2s",
        restart_max_delay="1m",
        restart_healthy_after="30s",
        restart_limit="off",
        restart_window="1h",
        stop_grace=2,
        pty=True,
        pty_size="200x50",
        pty_keep_codes=True,
    )
    assert made == WorkerPlan(
        "a",
        ("sh", "-c", "echo $HOME"),
        "jsonl",
        BASE / "work",
        None,
        TerminalOptions(200, 50, True),
        RestartPolicy("always", 2.0, 60.0, 30.0, None, 3600.0),
        2.0,
    )


@pytest.mark.parametrize(
    ("table", "environment"),
    [
        ({"environment": {"A": "1", "HOME": "/x"}}, {**ENVIRONMENT, "A": "1", "HOME": "/x"}),
        ({"environment": {"A": "1"}, "inherit_environment": False}, {"A": "1"}),
        ({"inherit_environment": False}, {}),
        ({"inherit_environment": ["PATH", "NONE"]}, {"PATH": "/bin"}),
        ({"inherit_environment": ["PATH"], "environment": {"A": "1"}}, {"PATH": "/bin", "A": "1"}),
        ({"inherit_environment": ["PATH"], "pty": True}, {"PATH": "/bin", "TERM": "xterm-256color"}),
        ({"environment": {"TERM": "vt100"}, "pty": True}, {**ENVIRONMENT, "TERM": "vt100"}),
    ],
)
def test_the_environment_is_added_to_or_chosen(table: dict[str, Any], environment: dict[str, str]):
    assert plan(**table).env == environment


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"command": []}, "its words"),
        ({"command": 5}, "its words"),
        ({"command": ["a", 1]}, "its words"),
        ({"command": "echo 'open"}, "cannot be split"),
        ({"environment": {"A=B": "1"}}, "environment variable"),
        ({"environment": {"A": 1}}, "valid string"),
        ({"adapter": "no-such"}, "no-such"),
        ({"restart": "sometimes"}, "on-failure"),
        ({"restart_delay": "1 s"}, "not a duration"),
        ({"restart_delay": True}, "in quotes"),
        ({"restart_limit": 0}, "from 1 on"),
        ({"restart_limit": True}, "from 1 on"),
        ({"pty_size": "big"}, "COLUMNSxROWS"),
        ({"pty_size": "0x5"}, "1 to 10000"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said(table: dict[str, Any], part: str):
    with pytest.raises(ValidationError, match=part):
        plan(**table)
