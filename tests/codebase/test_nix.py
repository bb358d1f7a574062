"""The Nix package says what pyproject.toml says, and forgets no room of tests."""

from __future__ import annotations

import json
import re

import typer.main
from packaging.requirements import Requirement

from tests.codebase.tree import ROOT, pyproject
from yoi_runtime.cli.app import app

PACKAGE_NIX = (ROOT / "nix" / "package.nix").read_text("utf-8")
# Not run in a build: they look at the whole tree, at peers, or take minutes.
ELSEWHERE = {
    *(
        "bench",
        "codebase",
        "conformance",
        "end_to_end",
        "examples",
        "foreign",
        "golden",
        "schemas",
        "support",
        "soak",
        "torture",
    ),
}


def test_each_extra_holds_the_packages_that_pyproject_names():
    found = {
        name: set(re.findall(r"python3Packages\.([\w-]+)", packages))
        for name, packages in re.findall(r"^    ([\w-]+) = \[([^\]]*)\];", PACKAGE_NIX, re.MULTILINE)
    }
    stated = pyproject()["project"]["optional-dependencies"]
    assert found == {
        name: {Requirement(line).name for line in lines} for name, lines in stated.items() if name != "all"
    }


def test_each_room_of_tests_is_run_in_a_build_or_said_to_run_elsewhere():
    named = re.findall(r'"tests/(\w+)(?:/\w+\.py)?"', PACKAGE_NIX)
    rooms = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert set(named) == rooms - ELSEWHERE


def test_the_lock_pins_nixpkgs_and_nothing_else():
    lock = json.loads((ROOT / "flake.lock").read_text("utf-8"))
    assert sorted(lock["nodes"]) == ["nixpkgs", "root"]
    assert lock["nodes"]["nixpkgs"]["original"] == {
        "owner": "NixOS",
        "ref": "nixos-unstable",
        "repo": "nixpkgs",
        "type": "github",
    }


def test_the_unit_for_other_systems_is_that_of_the_module():
    module = (ROOT / "nix" / "module.nix").read_text("utf-8").partition("serviceConfig = {")[2]
    unit = (
        (ROOT / "docs" / "yoi-runtime.service").read_text("utf-8").partition("[Service]")[2].partition("[Install]")[0]
    )
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    lists = {name: re.findall(r'"(\w+)"', text) for name, text in re.findall(r"(\w+) = \[([^\]]*)\];", module)}
    words = {"true": "yes", '""': ""}
    there = {
        name: words.get(value, value.strip('"'))
        for name, value in re.findall(r"^        (\w+) = ([^\[\n]*);$", module, re.MULTILINE)
    }
    there["RestrictAddressFamilies"] = " ".join(lists["RestrictAddressFamilies"])
    # There they are made of the options.
    del settings["ExecStart"]
    assert there.pop("LoadCredential") == "credentials"
    assert settings == there


def test_tokens_and_keys_come_to_the_unit_as_credentials_in_both_units():
    module = (ROOT / "nix" / "module.nix").read_text("utf-8")
    unit = (ROOT / "docs" / "yoi-runtime.service").read_text("utf-8")
    options = {"--token-file": "tokens", "--tls-cert": "cert", "--tls-key": "key"}
    for option, name in options.items():
        assert f"{option} %d/{name}" in module
        assert f'"{name}:${{literal cfg.' in module
        assert f"{option} %d/{name}" in unit
        assert f"LoadCredential={name}:/" in unit
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {name for parameter in serve.params for name in parameter.opts}
    # Above the options, whose examples are arguments of Workers.
    arguments = module.partition("options.services.yoi")[0]
    passed = set(re.findall(r'"(--[a-z-]+)|(--[a-z-]+) %d', arguments))
    assert {"--config", *options} <= {name for pair in passed for name in pair if name} <= known
    # A path would be copied into the store, which everybody reads.
    for name in ("tokenFile", "certificate", "key"):
        option = module.partition(f" {name} = mkOption {{")[2].partition("};")[0]
        assert "types.path" not in option
        assert "types.str" in option
