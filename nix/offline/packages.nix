# What flake.nix and nix/*.nix use of nixpkgs, and nothing else: another attribute is an error here. A Python package
# is the name of a distribution; build.sh resolves it among the wheels.
{ system }:

let
  lib = import ./lib.nix;

  wheels = builtins.path {
    name = "wheels";
    path = ./wheels;
  };
  # Written by tools/nix_offline.py: the interpreter that the wheels are for.
  interpreter = lib.removeSuffix "\n" (builtins.readFile ./wheels/PYTHON);

  distribution = name: { distribution = name; };
  namesOf = map (package: package.distribution);

  buildPythonApplication =
    {
      pname,
      version,
      src,
      pyproject,
      build-system,
      dependencies,
      optional-dependencies,
      nativeCheckInputs,
      enabledTestPaths,
      pythonImportsCheck,
      meta,
      __darwinAllowLocalNetworking,
    }:
    assert pyproject;
    derivation {
      name = "${pname}-${version}";
      inherit
        system
        src
        pname
        wheels
        interpreter
        ;
      builder = "/bin/bash";
      args = [
        "-eu"
        ./build.sh
      ];
      PATH = "/usr/bin:/bin";
      buildWheels = namesOf build-system;
      runWheels = namesOf dependencies;
      checkWheels = namesOf nativeCheckInputs;
      tests = enabledTestPaths;
      imports = pythonImportsCheck;
    }
    // {
      inherit pname version meta;
    };

  python3Packages = {
    inherit buildPythonApplication;
    pytestCheckHook = distribution "pytest";
  }
  // builtins.listToAttrs (
    map
      (name: {
        inherit name;
        value = distribution name;
      })
      [
        "hatchling"
        "hypothesis"
        "import-linter"
        "inotify-simple"
        "jsonschema"
        "mypy"
        "packaging"
        "prometheus-client"
        "pydantic"
        "pytest-timeout"
        "pytest-tornasync"
        "pytest-xdist"
        "rich"
        "tornado"
        "typer"
        "websockets"
        "zlib-ng"
      ]
  );

  standIn =
    name:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo stand-in > $out"
      ];
    };

  callPackage =
    file: arguments:
    let
      function = import file;
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) packages // arguments);

  packages = {
    inherit lib callPackage python3Packages;
    stdenv.hostPlatform = { inherit system; };
    # Forces what it is given, so that a name that is not there is found.
    mkShell = { inputsFrom, packages }: builtins.deepSeq (map (one: one.name or one.distribution) packages) (standIn "devshell");
    nixfmt = standIn "nixfmt";
    ruff = standIn "ruff";
  };
in
packages
