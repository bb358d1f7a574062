"""Every proof that docs/invariants.md names is a test that exists."""

from __future__ import annotations

import ast
import re

from tests.codebase.tree import ROOT

_NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def test_every_proof_is_a_test():
    named = _NAMED.findall((ROOT / "docs" / "invariants.md").read_text("utf-8"))
    assert len(named) > 40
    missing = []
    for file, name in sorted(set(named)):
        path = ROOT / "tests" / file
        tree = ast.parse(path.read_bytes()) if path.exists() else ast.Module([], [])
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in names:
            missing.append(f"{file}::{name}")
    assert not missing, "\n".join(missing)


def test_every_row_has_its_proof():
    lines = (ROOT / "docs" / "invariants.md").read_text("utf-8").splitlines()
    rows = [
        line for line in lines if line.startswith("| ") and line.count("|") == 4 and not line.startswith("| promise")
    ]
    assert len(rows) > 20
    assert not [row for row in rows if not _NAMED.search(row)]
