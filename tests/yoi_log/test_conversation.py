from __future__ import annotations

import io

from yoi_log.conversation import Conversations
from yoi_log.record_stream import Found

from tests.yoi_log.test_cat_output import found


def document(*records: Found) -> str:
    stdout = io.StringIO()
    conversations = Conversations(stdout)
    for record in records:
        conversations.show(record)
    assert stdout.getvalue() == ""
    conversations.close()
    return stdout.getvalue()


def test_each_worker_has_its_conversation_in_one_piece():
    text = document(
        found("user_message", {"segments": [{"kind": "text", "content": "Fix it\nplease"}]}),
        found("text_done", {"text": "helper speaks"}, "helper"),
        found("text_done", {"text": "日本語 done"}),
        found("run_end", {"result": "finished"}),
    )
    coder, helper = text.index("# coder\n"), text.index("# helper\n")
    assert coder < text.index("> Fix it\n> please") < text.index("日本語 done") < text.index("run finished") < helper
    assert text.index("helper speaks") > helper


def test_pieces_are_shown_once_as_the_whole_or_as_broken_off():
    pieces = [found("text_delta", {"text": text}) for text in ("one ", "two")]
    assert document(*pieces, found("text_done", {"text": "one two"})).count("one two") == 1
    assert "one two *(broken off)*" in document(*pieces)
    assert "one two *(broken off)*" in document(*pieces, found("error", {"code": "internal", "message": "x"}))


def test_tool_calls_and_results_are_blocks_that_nothing_in_them_ends():
    text = document(
        found("tool_call_done", {"id": "1", "name": "shell", "arguments": '{"command":"ls"}'}),
        found(
            "tool_result", {"id": "1", "summary": "2 files", "output": "```\n# not a heading\n```", "is_error": False}
        ),
    )
    assert '**→ `shell`**\n\n```json\n{"command":"ls"}\n```' in text
    assert "````\n```\n# not a heading\n```\n````" in text


def test_what_could_steer_a_terminal_is_made_visible():
    text = document(found("text_done", {"text": "a\x1b[2Jb"}), found("lost"))
    assert "a␛[2Jb" in text
    assert "an event was damaged and could not be saved" in text


def test_the_runtime_s_events_about_a_worker_stand_in_its_conversation():
    text = document(
        found("worker_started", {"worker_id": "coder", "run": 2}, None),
        found("runtime_stopping", None, None),
        found("worker_ended", {"worker_id": "coder", "outcome": "failed"}, None),
    )
    assert text.startswith("# coder\n\n*started, run 2")
    assert "ended: failed" in text
    assert "stopping" not in text
