from __future__ import annotations

import shutil
from pathlib import Path

from yoi_log.log_place import find_log
from yoi_log.transcript_file import taken_transcripts, transcript_path
from yoi_log.transcript_verification import verify_transcripts

from tests.transcript.projecting import project
from tests.yoi_log.sample import make_log


def test_the_report_says_what_is_kept_and_what_was_held_against_the_log(tmp_path: Path):
    data = make_log(tmp_path / "data")
    project(data)
    with taken_transcripts(transcript_path(data)) as uri:
        report, defects = verify_transcripts(uri, find_log(data).log_directory)
    assert defects == []
    assert (report.workers, report.items, report.compared, report.unread) == (2, 6, 6, None)


def test_without_a_watermark_the_file_is_checked_by_itself(tmp_path: Path):
    data = make_log(tmp_path / "data")
    project(data)
    (data / "log" / "COMMITTED").unlink()
    with taken_transcripts(transcript_path(data)) as uri:
        report, defects = verify_transcripts(uri, data / "log")
    assert defects == []
    assert (report.items, report.compared) == (6, 0)
    assert report.unread is not None
    shutil.rmtree(data / "log")
