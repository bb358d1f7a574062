"""The settings of ``serve`` and the keys of a Worker's table as a page for people, from where they are declared."""

from __future__ import annotations

from typing import Final

from yoi_runtime.cli.app import app
from yoi_runtime.cli.configured_command import ConfiguredCommand
from yoi_runtime.cli.settings import Setting
from yoi_runtime.cli.worker_table import WorkerTable

__all__ = ["settings_table"]

_HEAD: Final = """\
# The settings

Made by `python3 tools/dev.py schemas`; [configuration.md](../configuration.md) is the manual. A setting is an option of `yoi-runtime serve`, a key at the top of `yoi-runtime.toml`, and an environment variable: options count over variables, those over the file.
"""


def settings_table() -> str:
    """Return the text of docs/schemas/settings.md."""
    assert app  # importing it gives the commands their settings
    return "\n".join(
        [
            _HEAD,
            "| key | in the file | option | variable | default | |",
            "|---|---|---|---|---|---|",
            *map(_row, ConfiguredCommand.settings.values()),
            "",
            "## A Worker",
            "",
            "Keys of a table `[workers.NAME]`.",
            "",
            "| key | |",
            "|---|---|",
            *(f"| `{name}` | {_escaped(field.description)} |" for name, field in WorkerTable.model_fields.items()),
            "",
        ]
    )


def _row(setting: Setting) -> str:
    shape = {"flag": "`true` or `false`", "number": "number", "path": "text", "text": "text", "texts": "list of texts"}
    variables = ", ".join(f"`{name}`" for name in setting.variables)
    default = "" if setting.default == "none" else _escaped(setting.default)
    words = _escaped(setting.help)
    return f"| `{setting.key}` | {shape[setting.kind]} | `{setting.option}` | {variables} | {default} | {words} |"


def _escaped(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
