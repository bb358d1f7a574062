"""A case as data: what the scripted Runtime plays, connection by connection, and what it expects of the client.

Cases stand in TOML files, for readers and writers outside of this project; this module is their grammar.
A place in the script's log is a number: place ``n`` is just behind event ``n``, place 0 is before the first.
How to write a case: docs/conformance.md, "Adding a case".
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from yoi_runtime.errors import CaseInvalidError
from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.events.runtime_events import WorkerOutcome
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = [
    "Asks",
    "Bookmark",
    "Case",
    "CaughtUp",
    "Close",
    "Diagnose",
    "End",
    "Ending",
    "Events",
    "HangUp",
    "KillClient",
    "Level",
    "Need",
    "Noticed",
    "Ping",
    "Refuse",
    "Reset",
    "ScriptedConnection",
    "Silence",
    "StallDeliveries",
    "Start",
    "Step",
    "Text",
    "Torn",
    "load_cases",
    "read_cases",
]

_Place: TypeAlias = Annotated[int, Field(ge=0)]
_Number: TypeAlias = Annotated[int, Field(ge=1)]


class Level(StrEnum):
    """How binding a demand is: a breach of MUST fails the case, one of SHOULD is a warning."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Need(StrEnum):
    """What not every client under test has; without it the case is skipped."""

    # Follows one Worker rather than everything.
    WORKER = "worker"
    # Asks for batch=1.
    BATCH = "batch"
    # Was started by the kit and keeps its cursor in {state}, so that it can be killed and started again.
    RESTART = "restart"


class Ending(StrEnum):
    """What the client is to do after the last connection."""

    STAYS = "stays"
    LEAVES = "leaves"
    EITHER = "either"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Start(_Table):
    """Send what begins a stream: v1 hello; v0 snapshot or stream_opened. ``at`` None: where the client asked for."""

    do: Literal["start"]
    at: _Place | None = None
    # Told in hello, so a client can be made to notice silence sooner. Not scaled.
    heartbeat_ms: _Number = 15_000


class Events(_Table):
    """Send events ``first`` to ``last``, each a message of its own or all in one batch.

    ``first`` None: the one behind the place that the client asked for.
    """

    do: Literal["events"]
    first: _Number | None = None
    last: _Number
    # Another life of the log has other event ids and cursors for the same numbers.
    life: _Number = 1
    batch: bool = False
    unknown_fields: bool = False
    event: str | None = None
    text: str = "text"
    pad_bytes: _Place = 0


class CaughtUp(_Table):
    """v1: send caught_up."""

    do: Literal["caught_up"]
    at: _Place


class Bookmark(_Table):
    """v1: send a bookmark."""

    do: Literal["bookmark"]
    at: _Place


class End(_Table):
    """v1: send end."""

    do: Literal["end"]
    at: _Place
    outcome: WorkerOutcome = "completed"


class Diagnose(_Table):
    """Send a diagnostic; what is not given comes from the protocol's table. A code outside of it needs all fields."""

    do: Literal["diagnostic"]
    code: str
    recovery: str | None = None
    severity: str | None = None
    requested: _Place | None = None
    oldest: _Place | None = None
    latest: _Place | None = None
    resume: _Place | None = None
    lost_events: _Place | None = None
    retry_after_ms: _Place | None = None
    unknown_fields: bool = False


class Text(_Table):
    """Send a text message as it stands here."""

    do: Literal["text"]
    text: str


class Ping(_Table):
    """Ping, and expect the pong within the protocol's ten seconds."""

    do: Literal["ping"]


class Close(_Table):
    """Send a close frame and expect the client's."""

    do: Literal["close"]
    code: Annotated[int, Field(ge=1000, le=4999)]
    reason: str = ""


class Reset(_Table):
    """Break the connection (RST), once the client has read what was sent."""

    do: Literal["reset"]


class HangUp(_Table):
    """End the connection (FIN) without a close frame, once the client has read what was sent."""

    do: Literal["hang_up"]


class Torn(_Table):
    """Send the first half of event ``number`` and break the connection."""

    do: Literal["torn"]
    number: _Number


class Noticed(_Table):
    """Wait until the client leaves, or tells its consumer that something is wrong."""

    do: Literal["noticed"]


class Silence(_Table):
    """Keep the socket open, send nothing and read nothing: a half-open connection."""

    do: Literal["silence"]


class Refuse(_Table):
    """Answer the request with an HTTP status and a diagnostic; the only step of its connection."""

    do: Literal["refuse"]
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    # Scaled. Also sent as Retry-After, in whole seconds.
    retry_after_ms: _Place | None = None


class StallDeliveries(_Table):
    """Read nothing of what the client prints, so that handing over an event blocks once the pipe is full."""

    do: Literal["stall_deliveries"]


class KillClient(_Table):
    """Wait until the client is stuck in handing over, kill it, and start it again on the same {state}."""

    do: Literal["kill_client"]


Step: TypeAlias = Annotated[
    Start
    | Events
    | CaughtUp
    | Bookmark
    | End
    | Diagnose
    | Text
    | Ping
    | Close
    | Reset
    | HangUp
    | Torn
    | Noticed
    | Silence
    | Refuse
    | StallDeliveries
    | KillClient,
    Field(discriminator="do"),
]


class Asks(_Table):
    """What the request that opens a connection must be."""

    # It resumes behind this event, by cursor or by event id.
    after: _Place | None = None
    # Other places that lose nothing: only a warning.
    tolerated: tuple[_Place, ...] = ()
    # It does not ask for this place again.
    never_after: _Place | None = None
    # It resumes no further than behind the last event that the client handed over.
    after_delivered: bool = False
    # It is the very first request again.
    same_as_first: bool = False
    # It comes no sooner than this after the end of the connection before. Scaled.
    not_before_ms: _Place = 0
    # It comes by then. None: within the kit's patience. Not scaled.
    within_ms: _Number | None = None


class ScriptedConnection(_Table):
    """One connection: the request it is asked with, and what is played on it."""

    asks: Asks = Asks()
    # The client may as well not come: it was told to stop, or to look at the state anew.
    may_stay_away: bool = False
    play: Annotated[tuple[Step, ...], Field(min_length=1)]


class Case(_Table):
    """One case. ``section`` is the heading of docs/protocol.md that demands what is expected."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    says: str
    level: Level = Level.MUST
    section: str
    modes: tuple[ProtocolVersion, ...] = (ProtocolVersion.V0, ProtocolVersion.V1)
    needs: tuple[Need, ...] = ()
    connection: Annotated[tuple[ScriptedConnection, ...], Field(min_length=1)]
    ending: Ending = Ending.STAYS
    # The client must say that it stopped or that events are missing, or end.
    told: bool = False
    # Waits between connections must add up and grow.
    backoff: bool = False
    # False: which events are handed over is not the point here.
    deliveries: bool = True

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        steps = [step for connection in self.connection for step in connection.play]
        for connection in self.connection:
            if any(isinstance(step, Refuse) for step in connection.play) and len(connection.play) > 1:
                raise ValueError("refuse is the only step of its connection")
        if any(isinstance(step, StallDeliveries | KillClient) for step in steps) and Need.RESTART not in self.needs:
            raise ValueError("stall_deliveries and kill_client belong to cases that need restart")
        v1_only = any(isinstance(step, CaughtUp | Bookmark | End) or _is_batch(step) for step in steps)
        if v1_only and ProtocolVersion.V0 in self.modes:
            raise ValueError("caught_up, bookmark, end and batches are of v1; set modes")
        if any(isinstance(step, Events) and step.first is not None and step.last < step.first for step in steps):
            raise ValueError("events: last is before first")
        return self


def _is_batch(step: Step) -> bool:
    return isinstance(step, Events) and step.batch


class _CaseFile(_Table):
    case: tuple[Case, ...]


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read the cases of one TOML file.

    Raises:
        CaseInvalidError: it is no TOML, or a case breaks the grammar; says where.
        OSError: it cannot be read.
    """
    return _parsed(path.name, path.read_text("utf-8"))


def load_cases(more: Sequence[Path] = ()) -> tuple[Case, ...]:
    """Return the cases that come with the kit, in the order of their files, and those of ``more``.

    Raises:
        CaseInvalidError, OSError: as ``read_cases``; also when two cases bear one name.
    """
    own = sorted(
        (entry for entry in files("yoi_runtime.conformance").joinpath("cases").iterdir() if ".toml" in entry.name),
        key=lambda entry: entry.name,
    )
    cases = [case for entry in own for case in _parsed(entry.name, entry.read_text("utf-8"))]
    cases += [case for path in more for case in read_cases(path)]
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise CaseInvalidError(name, "there are two cases of this name")
    return tuple(cases)


def _parsed(where: str, text: str) -> tuple[Case, ...]:
    try:
        return _CaseFile.model_validate(tomllib.loads(text)).case
    except tomllib.TOMLDecodeError as error:
        raise CaseInvalidError(where, str(error)) from None
    except ValidationError as error:
        raise CaseInvalidError(where, str(first_complaint(error))) from None
