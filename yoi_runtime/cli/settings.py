"""The settings: each option of ``serve``, with its key in the configuration file and its environment variable.

An option is declared in ``serve_command.py`` and has the others by itself: ``--retain-bytes`` is ``retain_bytes`` in the file and
``YOI_RUNTIME_RETAIN_BYTES`` in the environment, and its help is the text of docs/schemas/settings.md.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args, get_origin

from typer.models import OptionInfo

from yoi_runtime.cli.data_dir import DATA_DIR_VARIABLE

__all__ = [
    "CONFIG_VARIABLE",
    "NOT_SETTINGS",
    "VARIABLE_PREFIX",
    "Setting",
    "SettingKind",
    "settings_of",
]

VARIABLE_PREFIX: Final = "YOI_RUNTIME_"
CONFIG_VARIABLE: Final = f"{VARIABLE_PREFIX}CONFIG"

NOT_SETTINGS: Final[Mapping[str, str]] = {
    "config": "names the file",
    "worker": "in the file Workers are tables, [workers.NAME], and say more",
    "help": "no setting",
}
"""Options that are no key of the file, and why."""

_OLDER_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {"data_dir": (DATA_DIR_VARIABLE,)}
_SECRET: Final = re.compile(r"(?:^|_)(?:tokens?|secrets?|passwords?|passphrases?|keys?)$")
_DEFAULT: Final = re.compile(r"\s*\[default: (.*)\]$")

SettingKind = Literal["flag", "number", "text", "path", "texts"]
_KINDS: Final[Mapping[type, SettingKind]] = {bool: "flag", int: "number", float: "number", Path: "path"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``parameter``: its name in the command's function. ``default``: in words, for people.

    ``least`` and ``most`` bound a number. What is ``secret`` is never shown.
    """

    key: str
    option: str
    parameter: str
    kind: SettingKind
    help: str
    default: str
    least: float | None = None
    most: float | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables, the first that is set counts."""
        return (f"{VARIABLE_PREFIX}{self.key.upper()}", *_OLDER_VARIABLES.get(self.key, ()))

    @property
    def secret(self) -> bool:
        # A path names the file that holds the secret, and a number is none.
        return self.kind in ("text", "texts") and _SECRET.search(self.key) is not None


def settings_of(function: Callable[..., object]) -> dict[str, Setting]:
    """Return the settings among the options of a command's ``function``, by key, in the order of their declaration."""
    found = {}
    for name, option, annotation, default in _options(function):
        # Within Annotated, Typer takes the first name for what it calls the default.
        declared = [option.default, *(option.param_decls or ())]
        long_names = [word for word in declared if isinstance(word, str) and word.startswith("--")]
        key = long_names[0].partition("/")[0].removeprefix("--").replace("-", "_") if long_names else ""
        if key and key not in NOT_SETTINGS:
            found[key] = _setting(key, name, option, annotation, default)
    return found


def _options(function: Callable[..., object]) -> Iterator[tuple[str, OptionInfo, object, object]]:
    """Yield name, declaration, type and default of each option."""
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(option, OptionInfo):
                yield name, option, get_args(parameter.annotation)[0], parameter.default


def _setting(key: str, parameter: str, option: OptionInfo, annotation: object, default: object) -> Setting:
    words = option.help or ""
    stated = _DEFAULT.search(words)
    kind = _kind(annotation)
    return Setting(
        key,
        f"--{key.replace('_', '-')}",
        parameter,
        kind,
        words[: stated.start()] if stated else words,
        # The help of a pair of flags names the flag; in the file there is but true and false.
        stated[1] if stated and kind != "flag" else _in_words(default),
        option.min,
        option.max,
    )


def _kind(annotation: object) -> SettingKind:
    types = {get_origin(choice) or choice for choice in (get_args(annotation) or (annotation,))}
    if get_origin(annotation) is list or list in types:
        return "texts"
    for choice, kind in _KINDS.items():
        if choice in types:
            return kind
    return "text"


def _in_words(default: object) -> str:
    match default:
        case None | () | []:
            return "none"
        case True:
            return "true"
        case False:
            return "false"
        case _:
            return str(default)
