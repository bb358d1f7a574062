# The program with everything in it; or, with coreOnly, the library as it is without extras, to run its tests in an
# environment that has no Tornado.
{
  lib,
  python3Packages,
  coreOnly ? false,
}:

let
  # Name, version and description stand in pyproject.toml and nowhere else.
  inherit (builtins.fromTOML (builtins.readFile ../pyproject.toml)) project;

  # The core's tests run in the package without extras, and only there: the same lines need not be tested twice.
  coreTests = [
    "tests/catalog"
    "tests/event_log"
    "tests/events"
    "tests/faults"
    "tests/protocol"
    "tests/runtime"
    "tests/segment_log"
    "tests/transcript"
    "tests/workers"
  ];
  # Of the log tools only that the program is there and works: the rest of their tests needs the core alone.
  servingTests = [
    "tests/cli"
    "tests/client"
    "tests/server"
    "tests/yoi_log/test_app.py"
    "tests/yoi_log/test_replay_server.py"
  ];

  extras = {
    ws-server = [
      python3Packages.inotify-simple
      python3Packages.prometheus-client
      python3Packages.tornado
    ];
    ws-client = [ python3Packages.tornado ];
    cli = [
      python3Packages.rich
      python3Packages.typer
    ];
    speed = [ python3Packages.zlib-ng ];
  };

  root = toString ../. + "/";
  kept = [
    "CHANGELOG.md"
    "LICENSE"
    "README.md"
    "docs"
    "pyproject.toml"
    "tests"
    "tools"
    "yoi_runtime"
  ];
in
python3Packages.buildPythonApplication {
  pname = if coreOnly then "${project.name}-core" else project.name;
  inherit (project) version;
  pyproject = true;

  src = builtins.path {
    name = "${project.name}-source";
    path = ../.;
    filter =
      path: _:
      let
        below = lib.removePrefix root path;
      in
      builtins.any (name: below == name || lib.hasPrefix "${name}/" below) kept;
  };

  build-system = [ python3Packages.hatchling ];

  dependencies = [
    python3Packages.pydantic
  ]
  ++ (if coreOnly then [ ] else lib.concatLists (builtins.attrValues extras));
  optional-dependencies = extras;

  nativeCheckInputs = [
    python3Packages.hypothesis
    python3Packages.jsonschema
    python3Packages.pytest-timeout
    # Runs the tests on all cores that the build may use.
    python3Packages.pytest-xdist
    python3Packages.pytestCheckHook
  ]
  ++ (
    if coreOnly then
      [ ]
    else
      [
        python3Packages.pytest-tornasync
        python3Packages.websockets
      ]
  );
  enabledTestPaths = if coreOnly then coreTests else servingTests;

  # The tests listen on 127.0.0.1.
  __darwinAllowLocalNetworking = true;

  pythonImportsCheck = [
    "yoi_runtime"
  ]
  ++ (
    if coreOnly then
      [ ]
    else
      [
        "yoi_runtime.cli.app"
        "yoi_runtime.client.observe"
        "yoi_log.app"
        "yoi_runtime.server.event_server"
        # Of the extra "speed"; without it everything works, only slower.
        "zlib_ng"
      ]
  );

  meta = {
    inherit (project) description;
    mainProgram = "yoi-runtime";
    license = lib.licenses.mit;
    platforms = lib.platforms.unix;
  };
}
