from __future__ import annotations

import re

from tests.yoi_log.sample import yoi_log


def test_every_command_has_a_help_with_examples():
    listed = yoi_log("--help").stdout.partition("Commands:")[2].partition("Exit codes")[0]
    commands = re.findall(r"^  (\w+)  ", listed, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        assert f"yoi-log {command} " in yoi_log(command, "--help").stdout.partition("Examples:")[2], command
