"""``yoi-runtime.toml``: where it is, what it may hold, and what is wrong with it, by line. Manual: docs/configuration.md."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    create_model,
)

from yoi_runtime.cli.options import check_id
from yoi_runtime.cli.settings import Setting
from yoi_runtime.cli.toml_places import line_of
from yoi_runtime.cli.worker_table import WorkerTable
from yoi_runtime.errors import ConfigurationError
from yoi_runtime.errors.configuration_errors import ConfigurationFault

__all__ = ["FILE_NAME", "ConfigurationFile", "configuration_model", "find_file", "read_file"]

FILE_NAME: Final = "yoi-runtime.toml"
_WORKERS: Final = "workers"
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A file that was read. ``values``: what it sets, by key; paths begin at its directory."""

    path: Path
    text: str
    values: Mapping[str, object]
    workers: Mapping[str, WorkerTable]

    def place(self, *path: str) -> str:
        """Return where a key stands, for people."""
        line = line_of(self.text, path)
        return str(self.path) if line is None else f"{self.path}:{line}"


def find_file(directory: Path, environment: Mapping[str, str], home: Path) -> Path | None:
    """Return the file where nobody names one: in ``directory``, else the XDG place; None where there is none."""
    base = Path(environment.get("XDG_CONFIG_HOME") or "")
    if not base.is_absolute():
        base = home / ".config"
    for place in (directory / FILE_NAME, base / "yoi-runtime" / FILE_NAME):
        if place.is_file():
            return place
    return None


def configuration_model(settings: Mapping[str, Setting]) -> type[BaseModel]:
    """Return the model of a file: a field for each setting, and the Workers."""
    # Any: how create_model takes its fields.
    fields: dict[str, Any] = {key: (_type_of(setting) | None, None) for key, setting in settings.items()}
    workers = dict[Annotated[str, AfterValidator(check_id)], WorkerTable]
    return create_model(
        "Configuration",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **fields,
        workers=(workers, Field(default_factory=dict)),
    )


def read_file(path: Path, settings: Mapping[str, Setting]) -> ConfigurationFile:
    """Read and check a file.

    Raises:
        ConfigurationError: what is wrong, all of it that was found.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(str(path), [ConfigurationFault(line, None, "not UTF-8")]) from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rpartition(" (at ")
        found_line = re.match(r"line (\d+)", place)
        # Otherwise it says "at end of document".
        line = int(found_line[1]) if found_line else text.count("\n") + 1
        fault = ConfigurationFault(line, None, f"not TOML: {reason or error}")
        raise ConfigurationError(str(path), [fault]) from None
    try:
        model = configuration_model(settings).model_validate(tree)
    except ValidationError as error:
        faults = [_fault(text, tree, settings, found) for found in error.errors(include_url=False)]
        raise ConfigurationError(str(path), sorted(set(faults), key=lambda fault: fault.line or 0)) from None
    values = {
        key: _from(path.parent, settings[key], getattr(model, key))
        for key in tree
        if key != _WORKERS and getattr(model, key) is not None
    }
    found_file = ConfigurationFile(path, text, values, getattr(model, _WORKERS))
    _check_policies(found_file)
    return found_file


def _check_policies(file: ConfigurationFile) -> None:
    faults = []
    for worker_id, table in file.workers.items():
        try:
            table.restart_policy("never")
        except ValueError as error:
            path = (_WORKERS, worker_id, "restart_delay")
            faults.append(ConfigurationFault(line_of(file.text, path), ".".join(path[:2]), f"restart: {error}"))
    if faults:
        raise ConfigurationError(str(file.path), faults)


def _from(directory: Path, setting: Setting, value: object) -> object:
    if setting.kind == "path":
        return str(directory / Path(str(value)).expanduser())
    return value


def _type_of(setting: Setting) -> Any:
    match setting.kind:
        case "flag":
            return StrictBool
        case "number":
            return Annotated[int | float, BeforeValidator(_number), Field(ge=setting.least, le=setting.most)]
        case "path":
            return StrictStr
        case "texts":
            return list[StrictStr]
        case "text":
            return Annotated[str, BeforeValidator(_text)]


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write a number, without quotes")
    return value


def _text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("write a text in quotes, or a number")
    return str(value)


def _fault(text: str, tree: object, settings: Mapping[str, Setting], found: Any) -> ConfigurationFault:
    """Return one of pydantic's complaints as ours."""
    path: list[str] = []
    value = tree
    for part in found["loc"]:
        # What is not in the file is pydantic's own: which member of a union, or that a key of a table is meant.
        if not isinstance(value, dict) or part not in value:
            break
        path.append(str(part))
        value = value[part]
    if found["type"] == "missing":
        path, value = [*path, str(found["loc"][-1])], None
    key = ".".join(path) or None
    line = line_of(text, path)
    match found["type"]:
        case "extra_forbidden":
            return ConfigurationFault(line, key, f"unknown key{_suggestion(path, settings)}")
        case "missing":
            return ConfigurationFault(line, key, "is missing")
        case _:
            reason = found["msg"].removeprefix("Value error, ")
            shown = repr(value) if not isinstance(value, bool) else str(value).lower()
            # What a parser of ours says has the value in it.
            said = "" if isinstance(value, dict) or repr(value) in reason else f"{shown[:_MOST_SHOWN]}: "
            return ConfigurationFault(line, key, said + reason[:1].lower() + reason[1:])


def _suggestion(path: Sequence[str], settings: Mapping[str, Setting]) -> str:
    within_worker = len(path) > 1
    known = list(WorkerTable.model_fields) if within_worker else [*settings, _WORKERS]
    word = path[-1].replace("-", "_").lower()
    near = difflib.get_close_matches(word, known, 1, 0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not within_worker and word in WorkerTable.model_fields:
        return "; it belongs into a table [workers.NAME]"
    if within_worker and word in settings:
        return "; it belongs to the top of the file, before the first table"
    return f"; there are {', '.join(known)}"
