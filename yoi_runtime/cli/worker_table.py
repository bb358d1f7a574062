"""A table ``[workers.NAME]`` of the configuration file: its keys, what they take, and the Worker that comes of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr

from yoi_runtime.cli.options import parse_adapter, parse_duration, parse_linger, parse_pty_size
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.workers.restart_policy import RestartPolicy, RestartWhen
from yoi_runtime.workers.terminal import TerminalOptions, terminal_environment

__all__ = ["WorkerTable"]

_T = TypeVar("_T")


def _read(parse: Callable[[str], _T]) -> BeforeValidator:
    """Return what reads a text of the file as the option of the same meaning is read."""

    def read(value: object) -> _T:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("write it in quotes")
        return parse(str(value))

    return BeforeValidator(read)


def _read_command(value: object) -> object:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {error}") from None
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError('write a text, or its words: ["python3", "-u", "agent.py"]')
    return tuple(value)


def _read_limit(value: object) -> object:
    if value == "off":
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError('write a whole number from 1 on, or "off"')
    return value


def _check_names(names: Mapping[str, str]) -> Mapping[str, str]:
    for name in names:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    return names


_Duration = Annotated[float, _read(parse_duration)]


class WorkerTable(BaseModel):
    """A Worker in the file. None: as ``serve`` was told for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[str, ...], BeforeValidator(_read_command)] = Field(
        description="What runs: words, or a text that is split into words as a shell would; no shell runs. Required"
    )
    cwd: StrictStr | None = Field(
        default=None, description="The directory it runs in, from that of the file. Default: that of `yoi-runtime`"
    )
    environment: Annotated[dict[str, StrictStr], AfterValidator(_check_names)] = Field(
        default_factory=dict, description="Environment variables it has in addition to what it inherits, or instead"
    )
    inherit_environment: StrictBool | list[StrictStr] = Field(
        default=True,
        description="What it inherits of the environment of `yoi-runtime`: `true` all, `false` nothing, or the names",
    )
    adapter: Annotated[str, _read(parse_adapter)] | None = Field(
        default=None, description="How its output becomes events. Default: `adapter` above"
    )
    restart: RestartWhen | None = Field(
        default=None, description='`"never"`, `"on-failure"` or `"always"`. Default: `restart` above'
    )
    restart_delay: _Duration = Field(default=1.0, description='How long before the first restart. Default: `"1s"`')
    restart_max_delay: _Duration = Field(
        default=60.0, description='The delay doubles from restart to restart, up to this. Default: `"60s"`'
    )
    restart_healthy_after: _Duration = Field(
        default=10.0, description='A run of this length has what was before it forgotten. Default: `"10s"`'
    )
    restart_limit: Annotated[int | None, BeforeValidator(_read_limit)] = Field(
        default=10, description='Give up after so many restarts within `restart_window`; `"off"`: never. Default: 10'
    )
    restart_window: _Duration = Field(default=600.0, description='Default: `"10m"`')
    stop_grace: Annotated[float, _read(parse_linger)] | None = Field(
        default=None,
        description="How long it may take to end after SIGTERM before SIGKILL. Default: `stop_grace` above",
    )
    pty: StrictBool | None = Field(default=None, description="On a terminal of its own. Default: `pty` above")
    pty_size: Annotated[tuple[int, int], _read(parse_pty_size)] | None = Field(
        default=None, description="Columns and rows of that. Default: `pty_size` above"
    )
    pty_keep_codes: StrictBool | None = Field(
        default=None, description="Leave the codes in its text. Default: `pty_keep_codes` above"
    )

    def restart_policy(self, when: RestartWhen) -> RestartPolicy:
        """Return its policy; ``when`` counts where it has none. Raises ``ValueError``: the numbers make no sense."""
        return RestartPolicy(
            self.restart or when,
            self.restart_delay,
            self.restart_max_delay,
            self.restart_healthy_after,
            self.restart_limit,
            self.restart_window,
        )

    def plan(
        self, for_all: WorkerPlan, terminal: TerminalOptions, environment: Mapping[str, str], base: Path
    ) -> WorkerPlan:
        """Return the Worker; ``for_all`` has its id, and what goes for all. ``base``: where paths begin."""
        columns, rows = self.pty_size or (terminal.columns, terminal.rows)
        keep_codes = terminal.keep_codes if self.pty_keep_codes is None else self.pty_keep_codes
        own_terminal = TerminalOptions(columns, rows, keep_codes)
        has_terminal = self.pty if self.pty is not None else for_all.terminal is not None
        return replace(
            for_all,
            command=self.command,
            adapter=self.adapter or for_all.adapter,
            cwd=None if self.cwd is None else base / Path(self.cwd).expanduser(),
            env=self._environment(environment, has_terminal),
            terminal=own_terminal if has_terminal else None,
            restart=self.restart_policy(for_all.restart.when),
            stop_grace_seconds=for_all.stop_grace_seconds if self.stop_grace is None else self.stop_grace,
        )

    def _environment(self, environment: Mapping[str, str], has_terminal: bool) -> Mapping[str, str] | None:
        match self.inherit_environment:
            case True if not self.environment:
                return None
            case True:
                inherited: Mapping[str, str] = environment
            case False:
                inherited = {}
            case names:
                inherited = {name: environment[name] for name in names if name in environment}
        if has_terminal:
            return terminal_environment(inherited, self.environment)
        return {**inherited, **self.environment}
