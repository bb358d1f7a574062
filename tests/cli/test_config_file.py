from __future__ import annotations

from pathlib import Path

import pytest

from yoi_runtime.cli.app import app
from yoi_runtime.cli.config_file import FILE_NAME, ConfigurationFile, find_file, read_file
from yoi_runtime.cli.configured_command import ConfiguredCommand
from yoi_runtime.errors import ConfigurationError

assert app  # it gives the commands their settings
SETTINGS = ConfiguredCommand.settings


def read(directory: Path, text: str | bytes) -> ConfigurationFile:
    path = directory / FILE_NAME
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_file(path, SETTINGS)


def test_a_file_has_settings_and_workers_and_paths_begin_at_it(tmp_path: Path):
    file = read(tmp_path, 'data_dir = "data"\nretain_bytes = 5\nread_only = true\n[workers.a]\ncommand = "true"\n')
    assert file.values == {"data_dir": str(tmp_path / "data"), "retain_bytes": "5", "read_only": True}
    assert file.workers["a"].command == ("true",)
    assert file.place("workers", "a", "command") == f"{tmp_path / FILE_NAME}:5"
    assert file.place("bind") == str(tmp_path / FILE_NAME)
    assert read(tmp_path, "").values == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('dat_dir = "x"', ":1: dat_dir: unknown key; did you mean data_dir?"),
        ('\nretain-bytes = "5"', ":2: retain-bytes: unknown key; did you mean retain_bytes?"),
        ('worker = "x"', ":1: worker: unknown key; did you mean workers?"),
        ('command = "x"', ":1: command: unknown key; it belongs into a table [workers.NAME]"),
        ('[workers.a]\ncomand = "x"', ":2: workers.a.comand: unknown key; did you mean command?"),
        (
            '[workers.a]\ncommand = "x"\nretain_age = "1d"',
            ":3: workers.a.retain_age: unknown key; it belongs to the top",
        ),
        ("[workers.a]\n", ":1: workers.a.command: is missing"),
        ('[workers."a b"]\ncommand = "x"', ":1: workers.a b: worker id 'a b' is not 1 to 64"),
        ("processes = 0", ":1: processes: 0: input should be greater than or equal to 1"),
        ('processes = "2"', ":1: processes: '2': write a number, without quotes"),
        ('read_only = "yes"', ":1: read_only: 'yes': input should be a valid boolean"),
        ("bind = true", ":1: bind: true: write a text in quotes, or a number"),
        ("bind = [1]", ":1: bind: [1]: write a text in quotes, or a number"),
        ("data_dir = 5", ":1: data_dir: 5: input should be a valid string"),
        ("workers = 5", ":1: workers: 5: input should be a valid dictionary"),
        ('[workers.a]\ncommand = "x"\nrestart_delay = "2m"', ":3: workers.a: restart: the first delay"),
        ("a = = 1", ":1: not TOML: "),
        ("\n\nx", ":3: not TOML: "),
        ("a = 1\na = 2", ":2: not TOML: "),
        (b'a = "b"\n# \xff', ":2: not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str | bytes, sentence: str):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert [said.startswith(f"{tmp_path / FILE_NAME}{sentence}") for said in caught.value.sentences].count(True) == 1, (
        caught.value.sentences
    )


def test_all_that_is_wrong_is_said_in_the_order_of_the_lines(tmp_path: Path):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, 'x = 1\nprocesses = 0\n[workers.a]\ncommand = "x"\nrestart = "maybe"\ny = 1')
    assert [fault.line for fault in caught.value.faults] == [1, 2, 5, 6]


def test_a_file_is_found_here_before_it_is_found_at_home(tmp_path: Path):
    here, home, xdg = tmp_path / "here", tmp_path / "home", tmp_path / "xdg"
    places = [here / FILE_NAME, xdg / "yoi-runtime" / FILE_NAME, home / ".config" / "yoi-runtime" / FILE_NAME]
    here.mkdir()
    assert find_file(here, {}, home) is None
    for place in reversed(places):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        environment = {"XDG_CONFIG_HOME": str(xdg)} if place != places[2] else {"XDG_CONFIG_HOME": "relative"}
        assert find_file(here, environment, home) == place
