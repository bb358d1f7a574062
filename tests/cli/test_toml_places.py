from __future__ import annotations

import pytest

from yoi_runtime.cli.toml_places import line_of

TEXT = '''# a comment with retain = 1
data_dir = "x"
"quoted key" = 1
text = """
bind = "not this one"
[workers.no]
"""
bind = "here"

[workers.coder]  # the first
command = ["a",
  "b"]
environment = { API_KEY = "x", OTHER = "y" }

[workers."two words"]
restart="always"
stop.grace = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["data_dir"], 2),
        (["quoted key"], 3),
        (["bind"], 8),
        (["workers", "coder"], 10),
        (["workers", "coder", "command"], 11),
        (["workers", "coder", "environment", "OTHER"], 13),
        (["workers", "coder", "missing"], 10),
        (["workers", "two words", "restart"], 16),
        (["workers", "two words", "stop", "grace"], 17),
        (["workers"], 10),
        (["workers", "no"], None),
        (["nothing"], None),
        ([], None),
    ],
)
def test_a_key_is_found_at_its_line_or_at_what_holds_it(path: list[str], line: int | None):
    assert line_of(TEXT, path) == line
    assert line_of(TEXT.replace("\n", "\r\n"), path) == line
