# The builder of the stand-in: a wheel, the tests against it in an environment of exactly what the package names, and
# the programs on bin/.
export HOME="$TMPDIR/home" PYTHONDONTWRITEBYTECODE=1 \
  PIP_NO_INDEX=1 PIP_FIND_LINKS="$wheels" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONFIG_FILE=/dev/null PIP_QUIET=1
mkdir -p "$HOME"
cp -r "$src" "$TMPDIR/source"
chmod -R u+w "$TMPDIR/source"
cd "$TMPDIR/source"

make_environment() { # DIRECTORY WHEEL...
  directory=$1
  shift
  "$interpreter" -m venv "$directory"
  "$directory/bin/python" -m pip install --no-compile "$@"
}

make_environment "$TMPDIR/build" $buildWheels
"$TMPDIR/build/bin/python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$TMPDIR/dist" .
package=$(echo "$TMPDIR"/dist/*.whl)

# The extras' libraries are named one by one, as a package of nixpkgs names them; pip finds what they need, and
# "pip check" whether their versions are the ones that pyproject.toml asks for.
make_environment "$TMPDIR/check" "$package" $runWheels $checkWheels
"$TMPDIR/check/bin/python" -m pip check
# The tests start many a Python, and none of them is to compile every library anew.
env --unset=PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX="$TMPDIR/compiled" \
  "$TMPDIR/check/bin/python" -m pytest -q -n auto -p no:cacheprovider $tests

make_environment "$out/libexec/$pname" "$package" $runWheels
cd /
for module in $imports; do
  "$out/libexec/$pname/bin/python" -c "import $module"
done
mkdir -p "$out/bin"
for program in "$out/libexec/$pname"/bin/yoi-*; do
  ln -s "../libexec/$pname/bin/${program##*/}" "$out/bin/${program##*/}"
done
