# Everything that the tests and linters need, from nixpkgs instead of tools/requirements.lock.
{
  mkShell,
  python3Packages,
  ruff,
  yoi,
}:

mkShell {
  inputsFrom = [ yoi ];
  packages = [
    ruff
    python3Packages.import-linter
    python3Packages.mypy
    python3Packages.packaging
    python3Packages.pytest-xdist
  ];
}
