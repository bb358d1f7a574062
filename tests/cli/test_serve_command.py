"""The options of ``serve`` and ``run``: each arrives where it counts, from a flag as from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from yoi_runtime.cli.app import app
from yoi_runtime.cli.config import Look
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.served_runtime import ServeOptions
from yoi_runtime.cli.worker_plan import STOP_GRACE_SECONDS, WorkerPlan
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.server.limits import Limits
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.workers.restart_policy import RestartPolicy
from yoi_runtime.workers.terminal import TerminalOptions

# What the commands hand on, instead of doing it.
Handed = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture
def handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Handed]:
    """Run a command in an empty directory up to where it begins, and return what it is begun with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "YOI_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    handed: Handed = []

    def instead_of(name: str) -> Callable[..., Any]:
        async def take(*arguments: Any) -> int:
            handed.append((name, arguments))
            return 0

        return take

    for module, name in (("serve", "serve"), ("serve", "serve_read_only"), ("run", "run")):
        taking = instead_of(name)
        monkeypatch.setattr(f"yoi_runtime.cli.{module}.{name}", taking)
        # Whether it was imported with the command's module or is when the command runs.
        monkeypatch.setattr(f"yoi_runtime.cli.serve_command.{name}", taking, raising=False)

    def command(*arguments: str, file: str | None = None) -> Handed:
        handed.clear()
        if file is not None:
            (tmp_path / "yoi-runtime.toml").write_text(file)
        result = CliRunner().invoke(app, list(arguments), prog_name="yoi-runtime")
        assert result.exit_code == 0, result.output
        return list(handed)

    return command


def test_with_no_options_the_defaults_of_every_part_count(handed_on: Callable[..., Handed], tmp_path: Path):
    ((name, (options, plans)),) = handed_on("serve")
    assert (name, plans) == ("serve", [])
    assert options == ServeOptions(tmp_path / ".local/share/yoi-runtime", Address("127.0.0.1", 38800))
    ((name, (options, plan, linger, reconnect)),) = handed_on("run", "--", "/bin/true")
    assert (name, plan, linger, reconnect) == ("run", WorkerPlan("true", ("/bin/true",)), 0.0, 300.0)
    assert options == ServeOptions(tmp_path / ".local/share/yoi-runtime", Address("127.0.0.1", 38800))


FLAGS = [
    *("--data-dir", "d", "--bind", ":5", "--segment-bytes", "8KiB", "--retain-bytes", "1MiB", "--retain-age", "off"),
    *("--durability", "written", "--transcript-items", "7", "--transcript-bytes", "1MiB", "--cache-bytes", "2MiB"),
    *("--processes", "3", "--max-subscribers", "11", "--max-subscribers-per-token", "12", "--max-unfinished", "14"),
    *("--max-subscribers-per-worker", "13", "--header-timeout", "3s", "--max-header-bytes", "4KiB"),
    *("--reserve-descriptors", "9", "--worker", "a=agent --fast", "--adapter", "lines", "--restart", "always"),
    *("--stop-grace", "2s", "--pty", "--pty-size", "90x20", "--pty-keep-codes", "--allow-host", "box"),
]
FILE = """
data_dir = "d"
bind = ":5"
segment_bytes = "8KiB"
retain_bytes = "1MiB"
retain_age = "off"
durability = "written"
transcript_items = "7"
transcript_bytes = "1MiB"
cache_bytes = "2MiB"
processes = 3
max_subscribers = 11
max_subscribers_per_token = 12
max_unfinished = 14
max_subscribers_per_worker = 13
header_timeout = "3s"
max_header_bytes = "4KiB"
reserve_descriptors = 9
adapter = "lines"
restart = "always"
stop_grace = "2s"
pty = true
pty_size = "90x20"
pty_keep_codes = true
allow_host = ["box"]

[workers.a]
command = "agent --fast"
"""


@pytest.mark.parametrize(("arguments", "file"), [(FLAGS, None), ([], FILE)], ids=["flags", "file"])
def test_every_option_arrives_from_a_flag_as_from_the_file(
    handed_on: Callable[..., Handed], tmp_path: Path, arguments: Sequence[str], file: str | None
):
    ((_, (options, plans)),) = handed_on("serve", *arguments, file=file)
    assert (options.data_dir, options.bind) == (tmp_path / "d", Address("127.0.0.1", 5))
    assert options.runtime == RuntimeOptions(
        segment_bytes=8192, retain_bytes=1 << 20, retain_age_seconds=None, durability="written"
    )
    assert options.transcripts == TranscriptOptions(max_items=7, max_bytes=1 << 20)
    assert (options.cache_bytes, options.processes) == (2 << 20, 3)
    assert options.limits == Limits(
        subscribers=11,
        subscribers_per_token=12,
        subscribers_per_worker=13,
        unfinished=14,
        header_seconds=3.0,
        header_bytes=4096,
        reserve_descriptors=9,
    )
    assert "box" in options.access.allow_hosts
    terminal = TerminalOptions(90, 20, keep_codes=True)
    plan = WorkerPlan(
        "a",
        ("agent", "--fast"),
        "lines",
        terminal=terminal,
        restart=RestartPolicy("always"),
        stop_grace_seconds=2.0,
    )
    assert plans == [plan]
    # The same for the one Worker of run, as far as run has it.
    flags = ["--adapter", "lines", "--pty", "--pty-size", "90x20", "--pty-keep-codes"] if file is None else []
    ((_, (_, ran, *_)),) = handed_on("run", "--worker-id", "a", *flags, "--", "agent", "--fast", "--pty")
    assert ran == WorkerPlan("a", ("agent", "--fast", "--pty"), "lines", terminal=terminal)
    assert ran.stop_grace_seconds == STOP_GRACE_SECONDS


def test_a_worker_of_the_command_line_stands_for_one_of_the_file(handed_on: Callable[..., Handed], tmp_path: Path):
    file = '[workers.a]\ncommand = "from the file"\ncwd = "there"\n[workers.b]\ncommand = "b"\ncwd = "there"\n'
    ((_, (_, plans)),) = handed_on("serve", "--worker", "a=flag", "--worker", "c=c", file=file)
    assert {plan.worker_id: (plan.command, plan.cwd) for plan in plans} == {
        "a": (("flag",), None),
        "b": (("b",), tmp_path / "there"),
        "c": (("c",), None),
    }


def test_a_server_alone_may_share_the_file_of_the_writer_and_leaves_its_workers_alone(
    handed_on: Callable[..., Handed],
):
    file = 'data_dir = "d"\nretain_bytes = "1MiB"\nprocesses = 1\n[workers.a]\ncommand = "a"\n'
    ((name, arguments),) = handed_on("serve", "--read-only", file=file)
    assert name == "serve_read_only"
    assert len(arguments) == 1


def test_a_server_alone_is_one_process(handed_on: Callable[..., Handed]):
    result = CliRunner().invoke(app, ["serve", "--read-only", "--processes", "2"], prog_name="yoi-runtime")
    assert result.exit_code == 2
    assert "one by one" in result.output
    assert handed_on("serve", "--read-only")[0][0] == "serve_read_only"


def test_who_only_looks_starts_nothing(handed_on: Callable[..., Handed]):
    look = Look()
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    context = serve.make_context("serve", ["--worker", "a=x"], obj=look)
    with context:
        serve.invoke(context)
    assert [plan.worker_id for plan in look.plans] == ["a"]
    assert handed_on("serve") != [], "as it would otherwise"
