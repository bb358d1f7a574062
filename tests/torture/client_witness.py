"""What each client of the suite saw, in its order, and the judgement over all of it when everything is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from yoi_runtime.client.stream_event import StreamEvent, StreamGap

__all__ = ["Gap", "Journal", "Seen", "Sighting", "judge"]


class Seen(NamedTuple):
    """An event as a client got it; ``what``: all that has to be the same for everybody."""

    event_id: str
    seq: int
    worker_id: str | None
    worker_seq: int | None
    text: str | None
    what: str


class Gap(NamedTuple):
    """A gap as it was announced; ``events``: None when the Runtime could not tell."""

    code: str
    events: int | None
    exact: bool


Entry: TypeAlias = Seen | Gap


def entry_of(item: StreamEvent | StreamGap) -> Entry:
    if isinstance(item, StreamGap):
        lost = item.lost
        return Gap(item.code, None if lost is None else lost.events, lost is not None and lost.exact)
    payload = item.payload
    data = payload.get("data")
    text = data.get("text") if payload["event"] == "text_delta" and isinstance(data, dict) else None
    assert item.seq is not None
    what = json.dumps([item.seq, item.worker_id, item.worker_seq, item.time, payload], sort_keys=True)
    return Seen(item.event_id, item.seq, item.worker_id, item.worker_seq, text, what)


@dataclass
class Sighting:
    """What one client saw. A new story begins where it was refused and told so: what it had before is another log's.

    ``is_part``: of the stream of everything, whose gaps count everybody's events.
    """

    name: str
    worker_id: str | None
    is_part: bool = False
    stories: list[list[Entry]] = field(default_factory=lambda: [[]])
    refusals: list[str] = field(default_factory=list)

    def add(self, item: StreamEvent | StreamGap) -> Entry:
        entry = entry_of(item)
        if isinstance(entry, Gap) and self.is_part:
            entry = entry._replace(exact=False)
        self.stories[-1].append(entry)
        return entry

    def refused(self, code: str) -> None:
        self.refusals.append(code)
        self.stories.append([])

    def told_missing(self, places: dict[str, int]) -> list[tuple[int, int]]:
        """Return the stretches of the journal that this client was told it does not get: before the oldest event at the
        beginning of a story, and in gaps.
        """
        told: list[tuple[int, int]] = []
        last = -1
        for story in self.stories:
            is_told = True
            for entry in story:
                place = places.get(entry.text or "") if isinstance(entry, Seen) else None
                if isinstance(entry, Gap):
                    is_told = True
                elif place is not None:
                    told += [(last, place)] if is_told else []
                    last, is_told = place, False
        return told

    @property
    def events(self) -> Iterator[Seen]:
        return (entry for story in self.stories for entry in story if isinstance(entry, Seen))

    @property
    def gaps(self) -> Iterator[Gap]:
        return (entry for story in self.stories for entry in story if isinstance(entry, Gap))


@dataclass
class Journal:
    """What the writers say: texts they were about to append, had appended, were refused."""

    intended: set[str]
    acknowledged: dict[str, int]
    refused: set[str]

    @classmethod
    def read(cls, path: Path) -> Journal:
        journal = cls(set(), {}, set())
        data = path.read_bytes()
        for place, line in enumerate(data[: data.rfind(b"\n") + 1].decode().splitlines()):
            kind, text = line.split(" ", 1)
            if kind == "A":
                journal.acknowledged[text] = place
            else:
                (journal.intended if kind == "I" else journal.refused).add(text)
        return journal


def judge(sightings: Iterable[Sighting], journal: Journal, undone: list[tuple[int, int]]) -> dict[str, int]:
    """Check everything; ``undone``: stretches of the journal that a restored copy of the directory took back.

    Raises:
        AssertionError: a client was lied to.
    """
    everybody: dict[str, str] = {}
    counts = dict.fromkeys(
        ("events checked", "gaps announced", "events lost and announced", "acknowledged texts found"), 0
    )
    for sighting in sightings:
        for story in sighting.stories:
            _check_story(sighting, story, counts)
        for seen in sighting.events:
            counts["events checked"] += 1
            agreed = everybody.setdefault(seen.event_id, seen.what)
            assert agreed == seen.what, f"{sighting.name}: event {seen.event_id} is another one for others"
            if seen.text is not None and seen.text != "final":
                assert seen.text in journal.intended, f"{sighting.name}: nobody ever wrote {seen.text!r}"
                assert seen.text not in journal.refused, f"{sighting.name}: {seen.text!r} was refused, and came"
        counts["acknowledged texts found"] += _check_acknowledged(sighting, journal, undone)
    return counts


def _check_story(sighting: Sighting, story: list[Entry], counts: dict[str, int]) -> None:
    """Each event once, in order; whatever is missing was announced, with its number."""
    ids: set[str] = set()
    last: int | None = None
    announced, exact = 0, True
    for entry in story:
        if isinstance(entry, Gap):
            counts["gaps announced"] += 1
            announced += entry.events or 0
            exact = exact and entry.exact
            continue
        assert entry.event_id not in ids, f"{sighting.name}: {entry.event_id} came twice"
        ids.add(entry.event_id)
        number = entry.seq if sighting.worker_id is None else entry.worker_seq
        assert number is not None
        if sighting.worker_id is not None:
            assert entry.worker_id == sighting.worker_id, f"{sighting.name}: an event of {entry.worker_id}"
        if last is not None:
            missing = number - last - 1
            told = f"{sighting.name}: {last} is followed by {number}, {announced} were announced (exact: {exact})"
            assert missing >= 0, told
            assert missing == announced if exact else missing <= announced, told
            counts["events lost and announced"] += missing
        last, announced, exact = number, 0, True


def _check_acknowledged(sighting: Sighting, journal: Journal, undone: list[tuple[int, int]]) -> int:
    """Whatever a writer was told is in the log came, or the client was told that it does not get it."""
    found = {seen.text for seen in sighting.events} & journal.acknowledged.keys()
    excused = [*undone, *sighting.told_missing(journal.acknowledged)]
    missing = [
        text
        for text, place in journal.acknowledged.items()
        if text not in found
        and not any(begin <= place < end for begin, end in excused)
        and sighting.worker_id in (None, text.split(":")[1])
    ]
    assert not missing, f"{sighting.name}: {len(missing)} acknowledged texts never came, {missing[0][:20]!r} first"
    return len(found)
