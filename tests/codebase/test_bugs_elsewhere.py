"""The twelve tests of bugs that others had are all there, and each says whose bug it is."""

from __future__ import annotations

import ast
import re

from tests.codebase.tree import ROOT

FILE = ROOT / "tests" / "end_to_end" / "test_twelve_bugs_elsewhere.py"
# A repository, an issue of one, or an advisory.
_SOURCE = re.compile(r"[\w.-]+/[\w.-]+(#\d+)?|GHSA-[\w-]+|NATS|Centrifugo")


def test_there_are_twelve_and_each_names_its_bug():
    found = {}
    for node in ast.walk(ast.parse(FILE.read_bytes())):
        if isinstance(node, ast.AsyncFunctionDef) and (name := re.match(r"test_(\d\d)_", node.name)):
            found[int(name[1])] = ast.get_docstring(node) or ""
    assert sorted(found) == list(range(1, 13))
    assert not [number for number, text in found.items() if not _SOURCE.search(text)]
