"""Writes docs/schemas: ``python3 tools/dev.py schemas``; with ``--check`` it only says whether they are current."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.dev import ROOT
from tools.schemas.asyncapi import WIRE_DOCUMENT, asyncapi
from tools.schemas.definitions import document
from tools.schemas.settings_table import settings_table
from tools.schemas.vocabulary_table import vocabulary_table

__all__ = ["DIRECTORY", "documents", "main"]

DIRECTORY = ROOT / "docs" / "schemas"


def documents() -> Mapping[str, str]:
    """Return the text of every generated file by its name."""
    made = {WIRE_DOCUMENT: document(), "asyncapi.json": asyncapi()}
    texts = {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in made.items()}
    return {**texts, "events.md": vocabulary_table(), "settings.md": settings_table()}


def main(arguments: list[str]) -> int:
    """Write what differs, or with ``--check`` name it; return an exit status."""
    parser = argparse.ArgumentParser(prog="dev.py schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not current")
    check: bool = parser.parse_args(arguments).check
    DIRECTORY.mkdir(exist_ok=True)
    stale = [name for name, text in documents().items() if _content(DIRECTORY / name) != text]
    for name in stale:
        if not check:
            (DIRECTORY / name).write_text(documents()[name], "utf-8")
        print(f"docs/schemas/{name}: {'not current' if check else 'written'}")
    return 1 if check and stale else 0


def _content(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
