"""What the texts tell people to type works: commands and their options exist, code compiles and finds its names."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from yoi_log import app as log_tools

from tests.codebase.test_docs import TEXTS
from tests.codebase.tree import ROOT
from tools import dev
from yoi_runtime.cli.app import app

PROGRAMS = {"yoi-runtime": typer.main.get_command(app), "yoi-log": typer.main.get_command(log_tools.app)}
OWN_COMMANDS = set(re.findall(r"^    (\w+)  +\S", dev.__doc__ or "", re.MULTILINE))


def blocks(language: str) -> list[tuple[str, str]]:
    """Return every code block of a language, with the place where it stands."""
    found = []
    for path in TEXTS:
        text = path.read_text("utf-8")
        for match in re.finditer(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{path.relative_to(ROOT)}:{line}", match[1]))
    return found


def commands() -> list[tuple[str, str]]:
    """Return every line of a shell block, and every command in running text, that calls a program of ours."""
    found = []
    for place, block in blocks("sh") + blocks("console"):
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        found += [(place, line.strip().removeprefix("$ ")) for line in lines]
    for path in TEXTS:
        text = re.sub(r"^ *```.*?^ *```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [
            (path.name, command)
            for command in re.findall(r"`((?:python3 tools/dev\.py|yoi-runtime|yoi-log) [^`]+)`", text)
        ]
    ours = re.compile(r"(?:^|[|;&] *|&& *)((?:python3 tools/dev\.py|(?:\S*/)?yoi-(?:runtime|log))(?= ).*)")
    return [(place, match[1]) for place, line in found if (match := ours.search(line))]


def unknown(line: str) -> str | None:
    """Return what of a command of ours does not exist, None when all of it does."""
    words = shlex.split(line, comments=True)
    program = "yoi-runtime" if words[0] == "python3" else Path(words[0]).name
    words = words[2:] if words[0] == "python3" else words[1:]
    words = [word for word in words if word not in ("...", "…")]
    if not words or not re.fullmatch(r"[a-z-]+", words[0]):
        return None  # a placeholder such as COMMAND
    if words[0] in OWN_COMMANDS and words[0] not in ("serve", "demo", "run", "tail"):
        return None if line.startswith("python3") else f"{words[0]} is a command of tools/dev.py"
    command: Any = PROGRAMS[program]
    while (below := getattr(command, "commands", None)) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in below:
            return f"there is no command {name}"
        command = below[name]
    options = {"--help", "-h", "--version"} | {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    own = list(itertools.takewhile(lambda word: word not in ("--", "|", ">", "&&"), words))
    strange = [word for word in own if word.startswith("-") and word.partition("=")[0] not in options]
    return f"there is no {strange[0]}" if strange else None


def test_every_command_in_the_texts_exists_with_its_options():
    assert len(commands()) >= 8
    assert [f"{place}: {line}: {problem}" for place, line in commands() if (problem := unknown(line))] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("yoi-runtime sreve", "there is no command sreve"),
        ("yoi-runtime tail --form oldest", "there is no --form"),
        ("yoi-runtime lint", "lint is a command of tools/dev.py"),
        ("yoi-log inspect --full data", "there is no --full"),
        (".venv/bin/yoi-log rewrite data", "there is no command rewrite"),
        ("yoi-runtime run -- anything --at-all", None),
        ("python3 tools/dev.py serve --worker a='b c' # and so on", None),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, problem: str | None):
    assert unknown(line) == problem


@pytest.mark.parametrize(("place", "block"), blocks("json"))
def test_json_in_the_texts_is_json(place: str, block: str):
    try:
        json.loads(block)
    except ValueError:
        for line in block.strip().splitlines():
            json.loads(line)


@pytest.mark.parametrize(("place", "block"), blocks("python"))
def test_python_in_the_texts_compiles_and_finds_what_it_imports_of_ours(place: str, block: str):
    for node in ast.walk(ast.parse(block, place)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "yoi_runtime":
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert missing == [], f"{place}: {node.module} has no {', '.join(missing)}"


def test_the_readme_s_embedding_example_runs(tmp_path: Path):
    (block,) = [
        block for place, block in blocks("python") if place.startswith("README.md:") and "Runtime.open" in block
    ]
    result = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    lines = b"".join(path.read_bytes() for path in tmp_path.glob("data/log/*.jsonl"))
    assert lines.count(b'"text_delta"') == 2
    assert lines.count(b'"text_done"') == 1


def skeleton(text: str) -> dict[str, list[str]]:
    """Return what has to be the same in a text and its translation: of headings, rows and points only how many."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {
        "headings": [match[1] for match in re.finditer(r"^(#+) ", prose, re.MULTILINE)],
        "code blocks": re.findall(r"^```\w*\n.*?^```$", text, re.MULTILINE | re.DOTALL),
        "links": re.findall(r"\]\(([^)]+)\)", prose),
        "rows": [str(line.count("|")) for line in prose.splitlines() if line.startswith("|")],
        "points": [match[0] for match in re.finditer(r"^\* ", prose, re.MULTILINE)],
        "words of the programs": re.findall(r"`([^`\n]+)`", prose),
    }


def test_both_readmes_say_the_same_and_lead_to_each_other():
    english, japanese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.ja.md"))
    assert english.splitlines()[2] == "English | [日本語](README.ja.md)"
    assert japanese.splitlines()[2] == "[English](README.md) | 日本語"
    of_english, of_japanese = skeleton(english), skeleton(japanese)
    assert (of_english["links"].pop(0), of_japanese["links"].pop(0)) == ("README.ja.md", "README.md")
    # Another word order in a sentence is another order of what it names.
    for names in (of_english["words of the programs"], of_japanese["words of the programs"]):
        names.sort()
    assert len(of_english["code blocks"]) >= 8
    assert len(of_english["links"]) >= 15
    for what, found in of_english.items():
        assert of_japanese[what] == found, what
