from __future__ import annotations

import pytest
from yoi_log.progress import progress_bar


def test_away_from_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]):
    with progress_bar("reading", 10) as progress:
        progress(10)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_bar_is_on_stderr_and_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar("reading", 10) as progress:
        progress(10)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
