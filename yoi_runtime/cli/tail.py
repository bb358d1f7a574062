"""``yoi-runtime tail``: follows a Runtime's events in the terminal, as a Backend would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yoi_runtime.cli.exit_codes import ExitCode, say
from yoi_runtime.cli.extras import load_observe
from yoi_runtime.cli.output import make_output
from yoi_runtime.cli.signals import StopSignals

__all__ = ["TailRequest", "command_to_go_on", "find_url", "refusal_sentences", "tail"]


@dataclass(frozen=True, slots=True)
class TailRequest:
    """What to follow, from where, and how to show it."""

    url: str | None
    data_dir: Path
    data_dir_given: bool = False
    worker_id: str | None = None
    cursor: str | None = None
    start: Literal["oldest", "now"] = "now"
    as_json: bool = False


async def tail(request: TailRequest) -> int:
    """Follow until a signal, or until the cursor is refused; return the exit code.

    Raises:
        MissingExtraError: the extra ``ws-client`` is not installed.
        StreamError: the Runtime cannot be reached at all, or refuses for another reason than the cursor.
        BrokenPipeError: nobody reads our output any more.
    """
    load_observe()
    found = find_url(request)
    if isinstance(found, UrlNotFound):
        say(found.sentence)
        return ExitCode.FAILED
    follower = _Follower(request, found, make_output(request.as_json))
    with StopSignals() as signals:
        following = asyncio.create_task(follower.follow())
        signalled = asyncio.create_task(signals.wait())
        await asyncio.wait({following, signalled}, return_when=asyncio.FIRST_COMPLETED)
