"""What is published: the wheel and the source archive hold what belongs in them, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest

from tests.codebase.tree import LOG_TOOLS, PACKAGE, ROOT, modules, pyproject


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the wheel and the source archive of the tree."""
    pytest.importorskip("hatchling", reason="the build back end: tools/requirements.lock has it, a packager may not")
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(directory)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


def test_the_wheel_holds_the_package_and_nothing_else(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    expected = {path.relative_to(ROOT).as_posix() for path in modules()} | {"yoi_runtime/py.typed"}
    expected |= {path.relative_to(ROOT / "tools").as_posix() for path in modules(LOG_TOOLS)}
    assert {name for name in names if name.endswith((".py", "py.typed"))} == expected
    assert {"yoi_log/page_parts/page.css", "yoi_log/page_parts/page.html", "yoi_log/page_parts/page.js"} <= set(names)
    assert [name for name in names if not name.startswith(("yoi_runtime/", "yoi_log/"))] == []
    assert [name for name in names if name.endswith(".pyc")] == []


def test_the_wheel_says_what_pyproject_says(built: Path):
    project = pyproject()["project"]
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        files = {
            name.partition(".dist-info/")[2]: wheel.read(name) for name in wheel.namelist() if ".dist-info/" in name
        }
    metadata = BytesParser(policy=default).parsebytes(files["METADATA"])
    assert metadata["Name"] == project["name"]
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) == {"ws-server", "ws-client", "cli", "speed", "all"}
    assert b"MIT License" in files["licenses/LICENSE"]
    assert b"yoi-runtime = yoi_runtime.__main__:main" in files["entry_points.txt"]
    assert b"yoi-log = yoi_log.__main__:main" in files["entry_points.txt"]


def test_the_wheel_shows_the_readme_on_its_page(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = BytesParser(policy=default).parsebytes(wheel.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    shown = metadata.get_payload(decode=True)
    assert isinstance(shown, bytes)
    assert shown.decode("utf-8").strip() == (ROOT / "README.md").read_text("utf-8").strip()


def test_without_extras_pydantic_is_all_that_is_needed(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = BytesParser(policy=default).parsebytes(wheel.read(name))
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert needed == ["pydantic<3,>=2.12.5"]


def test_the_source_archive_holds_what_belongs_in_it_and_nothing_else(built: Path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    allowed = {"yoi_runtime", "tests", "tools", "docs", "nix"}
    files = {
        "README.md",
        "README.ja.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "pyproject.toml",
        "flake.nix",
        "flake.lock",
        "PKG-INFO",
        ".gitignore",
    }
    assert {name.partition("/")[0] for name in names} - allowed - files == set()
    assert {
        "pyproject.toml",
        "README.ja.md",
        "LICENSE",
        "tests/conftest.py",
        "tools/dev.py",
        "tools/requirements.lock",
    } <= names
    assert {path.relative_to(ROOT).as_posix() for path in modules(PACKAGE)} <= names
    assert [name for name in names if name.endswith(".pyc")] == []
