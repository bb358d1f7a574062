"""The commands ``yoi-runtime token …`` and their options, read and handed on to ``token``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from yoi_runtime.cli import help_texts
from yoi_runtime.cli.exit_codes import exit_code_of, say, sentence_of
from yoi_runtime.cli.options import check_id, parse_duration
from yoi_runtime.cli.token import create_token, list_tokens, parse_expiry, revoke
from yoi_runtime.errors import YoiError

__all__ = ["token_app"]

token_app = typer.Typer(help=help_texts.TOKEN, epilog=help_texts.END, no_args_is_help=True, rich_markup_mode=None)

TokenFile = Annotated[Path, typer.Option("--token-file", metavar="FILE", help=help_texts.TOKEN_LIST)]


@token_app.command("create", help=help_texts.TOKEN_CREATE, epilog=help_texts.END)
def _create(
    context: typer.Context,
    token_file: TokenFile,
    worker: Annotated[
        list[str] | None,
        typer.Option("--worker", metavar="ID", help=help_texts.TOKEN_WORKER, show_default="everything"),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="DURATION", help=help_texts.TOKEN_EXPIRES_IN)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help=help_texts.TOKEN_OUTPUT)] = None,
    label: Annotated[
        str, typer.Option("--label", metavar="TEXT", help=help_texts.TOKEN_LABEL, show_default="none")
    ] = "",
) -> None:
    try:
        workers = [check_id(worker_id) for worker_id in worker or []]
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint="--worker") from None
    try:
        lifetime = None if expires_in is None else parse_expiry(parse_duration(expires_in))
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint="--expires-in") from None
    try:
        _finish(lambda: create_token(token_file, label, workers, lifetime, output))
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint="--label") from None


@token_app.command("list", help=help_texts.TOKEN_LISTING, epilog=help_texts.END)
def _list(
    token_file: TokenFile, as_json: Annotated[bool, typer.Option("--json", help=help_texts.TOKEN_JSON)] = False
) -> None:
    _finish(lambda: list_tokens(token_file, as_json=as_json))


@token_app.command("revoke", help=help_texts.TOKEN_REVOKE, epilog=help_texts.END, options_metavar="[OPTIONS]")
def _revoke(token_file: TokenFile, name: Annotated[str, typer.Argument(metavar="ID|LABEL")]) -> None:
    _finish(lambda: revoke(token_file, name))


def _finish(command: Callable[[], int]) -> NoReturn:
    """Run a command and leave with its exit code; an expected error is one sentence."""
    try:
        code = command()
    except (YoiError, OSError) as error:
        say(sentence_of(error))
        code = exit_code_of(error)
    raise typer.Exit(code)
