"""tools/requirements.lock: whole, hashed, made of nothing but names and versions, and true to pyproject.toml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.codebase.tree import ROOT, pyproject

LOCK = ROOT / "tools" / "requirements.lock"


def entries(text: str) -> list[str]:
    """Return the lock's entries, each on one line, without comments."""
    lines = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [line.strip() for line in lines.splitlines() if line.strip()]


def strange(text: str) -> list[str]:
    """Return what is no hashed pin: options, addresses, paths, ranges."""
    pin = re.compile(
        r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.!+]*"  # name and version
        r"( ; [^;@]+?)?"  # marker
        r"( --hash=sha256:[0-9a-f]{64})+"
    )
    return [entry for entry in entries(text) if not pin.fullmatch(entry)]


def pins(text: str) -> dict[str, str]:
    """Return name -> version. One version serves every Python and system, or this test must learn to read markers."""
    found: dict[str, str] = {}
    for entry in entries(text):
        name, _, version = entry.partition(" ")[0].partition("==")
        assert name not in found, f"{name} is pinned twice"
        found[name] = version
    return found


def direct(project: dict[str, Any]) -> Iterator[Requirement]:
    """Yield every requirement that pyproject.toml states."""
    own = canonicalize_name(project["project"]["name"])
    stated = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for lines in project["project"]["optional-dependencies"].values() for line in lines),
        *(line for lines in project["dependency-groups"].values() for line in lines),
    ]
    yield from (requirement for requirement in map(Requirement, stated) if canonicalize_name(requirement.name) != own)


def disagreements(project: dict[str, Any], text: str) -> list[str]:
    locked = pins(text)
    found = []
    for requirement in direct(project):
        version = locked.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement}: not locked")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement}: locked {version}")
    return found


def test_the_lock_is_whole():
    assert len(entries(LOCK.read_text("utf-8"))) > 20


def test_the_lock_agrees_with_pyproject():
    assert disagreements(pyproject(), LOCK.read_text("utf-8")) == []


def test_the_lock_holds_the_build_backend_and_each_optional_library():
    names = {canonicalize_name(requirement.name) for requirement in direct(pyproject())}
    assert {"hatchling", "pydantic", "pytest", "ruff", "tornado", "typer"} <= names


@pytest.mark.parametrize(
    "entry",
    [
        "tornado==6.6.1",
        "tornado>=6 --hash=sha256:" + "0" * 64,
        "--index-url somewhere",
        "--find-links wheels",
        "-e .",
        "./wheels/tornado.whl --hash=sha256:" + "0" * 64,
        "tornado @ file.whl --hash=sha256:" + "0" * 64,
        "tornado==6.6.1 --hash=md5:" + "0" * 32,
    ],
)
def test_what_is_no_hashed_pin_is_found(entry: str):
    assert strange(f"# comment\n{entry}\n    # via us\n") == [entry]


def test_hashes_over_several_lines_and_a_marker_are_one_entry():
    zeros, ones = "0" * 64, "1" * 64
    text = f"colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:{zeros} \\\n    --hash=sha256:{ones}\n    # via click\n"
    assert strange(text) == []
    assert pins(text) == {"colorama": "0.4.6"}


def test_a_pin_outside_of_its_bound_and_a_missing_one_are_found():
    project = {
        "build-system": {"requires": ["a>=1"]},
        "project": {"name": "x", "dependencies": ["b_b<2"], "optional-dependencies": {"e": ["c==1", "x[e]"]}},
        "dependency-groups": {"test": []},
    }
    hashed = "--hash=sha256:" + "0" * 64
    text = f"a==1.5 {hashed}\nb-b==2.0 {hashed}\n"
    assert disagreements(project, text) == ["b_b<2: locked 2.0", "c==1: not locked"]


def test_the_lowest_lock_holds_the_lower_end_of_every_bound():
    project = pyproject()
    locked = pins((ROOT / "tools" / "lowest.lock").read_text("utf-8"))
    del project["dependency-groups"]["lint"]
    checked = 0
    for requirement in direct(project):
        (lowest,) = [bound.version for bound in requirement.specifier if bound.operator in (">=", "==")]
        found = Version(locked[canonicalize_name(requirement.name)])
        # The lowest that was published: there is no pytest 8.1.0.
        assert found.release[: len(Version(lowest).release)] == Version(lowest).release, f"{requirement}: {found}"
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", ["requirements.lock", "lowest.lock", "bench/requirements.lock"])
def test_no_lock_holds_an_address_a_path_or_anything_but_hashed_pins(name: str):
    text = (ROOT / "tools" / name).read_text("utf-8")
    assert strange(text) == []
    assert [line for line in text.splitlines() if "://" in line or " /" in line or "@" in line] == []
