from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcript.projecting import QUICK, whole_transcript
from yoi_runtime.errors import TranscriptUnavailableError
from yoi_runtime.events import TextDone
from yoi_runtime.protocol.transcript_query import TranscriptQuery
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.transcript.kept_transcripts import KeptTranscripts


async def test_it_keeps_until_it_is_stopped_and_then_answers_nothing_more(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        transcripts = KeptTranscripts(tmp_path, runtime.log_directory)
        runtime.create_worker("a").emit(TextDone(text="1"))
    await transcripts.stop()
    await transcripts.stop()
    assert [item.data for item in whole_transcript(tmp_path, "a")[0]] == [{"text": "1"}]
    with pytest.raises(TranscriptUnavailableError):
        transcripts.reader.page(runtime.log_id, "a", TranscriptQuery(), lambda etag: False)
