from __future__ import annotations

from pathlib import Path

from yoi_runtime.server.transcript_source import TranscriptSource
from yoi_runtime.transcript.reader import TranscriptReader


def test_a_reader_of_the_kept_transcripts_is_one(tmp_path: Path):
    # The type checker holds it to the signature; here it is held to the name.
    source: TranscriptSource = TranscriptReader(tmp_path)
    assert callable(source.page)
