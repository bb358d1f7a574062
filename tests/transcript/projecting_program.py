"""A process that keeps the transcripts of a directory whose log another one writes; says what it has stored.

Usage: projecting_program.py DATA_DIR. Saves after every chunk, so that a kill meets a transaction often.
"""

from __future__ import annotations

import sys
from pathlib import Path

from yoi_runtime.transcript import following
from yoi_runtime.transcript.projection import TranscriptProjection
from yoi_runtime.transcript.saved_place import SavedPlace
from yoi_runtime.transcript.store import TranscriptStore


def main() -> None:
    following.CHUNK_BYTES = 4096
    following._SAVE_BYTES = 1
    save = TranscriptStore.save

    def telling(store: TranscriptStore, place: SavedPlace) -> None:
        sys.stdout.write("saving\n")
        sys.stdout.flush()
        save(store, place)

    TranscriptStore.save = telling  # type: ignore[assignment,method-assign]
    data_dir = Path(sys.argv[1])
    projection = TranscriptProjection(data_dir, data_dir / "log")
    projection.start()
    sys.stdin.read()
    projection.stop()


main()
