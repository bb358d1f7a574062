"""yoi_runtime.errors: the tree that is drawn is the tree that is, and messages say what the fields hold."""

from __future__ import annotations

import errno
import inspect
import re
from pathlib import Path

import pytest

from yoi_runtime import errors
from yoi_runtime.cli.exit_codes import sentence_of
from yoi_runtime.errors import LogError, StreamRefusedError, WorkerIdInvalidError, YoiError
from yoi_runtime.errors.configuration_errors import ConfigurationFault

FILE = Path("/data/log/00000000000000000007.jsonl")
DIRECTORY = FILE.parent
URL = "ws://127.0.0.1:1/v1/events/ws"

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, Exception) and cls.__module__.startswith(f"{errors.__name__}.")
}

# One of each class, and what its message has to say.
EXAMPLES: list[tuple[YoiError, list[str]]] = [
    (YoiError("said"), ["said"]),
    (errors.MissingExtraError("ws-server", "serving"), ["serving", "ws-server", "pip install"]),
    (
        errors.ConfigurationError(
            "own.toml", [ConfigurationFault(7, "bind", "wrong"), ConfigurationFault(None, None, "worse")]
        ),
        ["own.toml:7: bind: wrong", "own.toml: worse"],
    ),
    (LogError(DIRECTORY, "said"), ["said"]),
    (errors.LogHeldError(DIRECTORY, 4711), [str(DIRECTORY), "4711"]),
    (errors.LogClosedError(DIRECTORY), [str(DIRECTORY), "closed"]),
    (errors.LogBusyError(DIRECTORY, 12345, 2.5), [str(DIRECTORY), "12345", "2.5 s"]),
    (errors.LogReentryError(DIRECTORY), [str(DIRECTORY), "same thread"]),
    (
        errors.LogStoppedError(DIRECTORY, ["wo1a", "wo1b"], errors.LogClosedError(DIRECTORY)),
        [str(DIRECTORY), "first 2", "closed"],
    ),
    (errors.LogFullError(FILE, 800, 17, "No space"), [str(FILE), "800", "17", "No space"]),
    (errors.LogDiskError(FILE, 800, 17, 5, "Input/output"), [str(FILE), "800", "17", "Input/output"]),
    (errors.LogBrokenError(FILE, 800, 17, "sync failed"), [str(FILE), "800", "17", "sync failed"]),
    (errors.LogNotFoundError(DIRECTORY), [str(DIRECTORY)]),
    (errors.LogPlacementError(DIRECTORY, "nfs4"), [str(DIRECTORY), "nfs4"]),
    (errors.LogFormatError(FILE, "version 9", 12), [str(FILE), "version 9", "12"]),
    (errors.LogVersionError(FILE, 2, 1), [str(FILE), "format version 2", "knows version 1"]),
    (errors.LogUnavailableError(DIRECTORY, "not open yet"), [str(DIRECTORY), "not open yet"]),
    (errors.RecordTooLargeError(DIRECTORY, 300_000, 262_144), [str(DIRECTORY), "300000", "262144"]),
    (
        errors.RecordCorruptError(FILE, 7, 800, 17, "bad checksum", resume_segment=8, resume_offset=300, resume_seq=19),
        [str(FILE), "800", "17", "bad checksum"],
    ),
    (errors.SegmentGoneError(DIRECTORY, 7), [str(DIRECTORY), "7"]),
    (errors.CursorError("wo1abc", "said"), ["said"]),
    (errors.CursorMalformedError("wo1abc", "it is empty"), ["it is empty"]),
    (errors.CursorForeignError("wo1abc", "1111", "2222"), ["1111", "2222"]),
    (errors.CursorExpiredError("wo1abc", "wo1floor"), ["rotated out"]),
    (errors.CursorUnknownError("wo1abc", "no boundary"), ["no boundary"]),
    (errors.CursorAheadError("wo1abc", "segment 9"), ["segment 9"]),
    (errors.EventInvalidError("text_delta", "data.text", "no text"), ["text_delta", "data.text", "no text"]),
    (errors.RequestInvalidError("cursor", "stands twice"), ["cursor", "stands twice"]),
    (errors.FrameInvalidError("no kind"), ["no kind"]),
    (errors.CaseInvalidError("own.toml", "no such step"), ["own.toml", "no such step"]),
    (errors.IngestError("said", "said of it"), ["said of it"]),
    (errors.IngestRefusedError("event_invalid", "no text", "data.text"), ["data.text", "no text", "event_invalid"]),
    (errors.IngestRefusedError("shutting_down", "it stops"), ["it stops (shutting_down)"]),
    (errors.IngestLostError("nobody listens", 61.0, 3), ["nobody listens", "61 s", "3 lines"]),
    (errors.WorkerError("coder", "said"), ["said"]),
    (WorkerIdInvalidError("no id"), ["'no id'"]),
    (errors.WorkerRunningError("coder"), ["coder"]),
    (errors.WorkerNotFoundError("coder"), ["coder"]),
    (errors.WorkerEndedError("coder"), ["coder"]),
    (errors.WorkerStartError("coder", "/bin/x", "no such file"), ["coder", "/bin/x", "no such file"]),
    (errors.TranscriptError(DIRECTORY, "said"), ["said"]),
    (errors.TranscriptDamagedError(DIRECTORY / "x.db", "malformed"), [str(DIRECTORY / "x.db"), "malformed"]),
    (errors.TranscriptUnavailableError(DIRECTORY, "not there yet"), [str(DIRECTORY), "not there yet"]),
    (errors.TranscriptExpiredError(DIRECTORY, 3, 8), [str(DIRECTORY), "3 to 7"]),
    (errors.AdapterError("mine", "its-dist", "cannot be loaded"), ["mine", "its-dist", "cannot be loaded"]),
    (errors.AccessError("said"), ["said"]),
    (errors.SecretFileError(FILE, "open to others; chmod 600"), [str(FILE), "chmod 600"]),
    (errors.TokenNotFoundError(FILE, "backend", ()), [str(FILE), "no token 'backend'"]),
    (errors.TokenNotFoundError(FILE, "backend", ("t-1", "t-2")), [str(FILE), "t-1, t-2", "say which"]),
    (errors.OpenToAllError("0.0.0.0"), ["0.0.0.0", "--token-file", "--insecure-no-token"]),
    (errors.DescriptorLimitError(64, 300), ["64", "300", "LimitNOFILE"]),
    (errors.StreamError(URL, "said"), ["said"]),
    (errors.CursorStoreError("a.cursor", "no room"), ["a.cursor", "no room"]),
    (errors.StreamConnectError(URL, "refused"), [URL, "refused"]),
    (
        StreamRefusedError(URL, {"code": "runtime.cursor_ahead", "recovery": "resnapshot", "message": "no"}),
        [URL, "runtime.cursor_ahead", "no"],
    ),
    (
        errors.StreamGapError(URL, 5, 8, numbering="worker_seq", cursor="wo1a", cursor_after="wo1b"),
        [URL, "worker_seq", "5", "8"],
    ),
    (errors.StreamFrameError(URL, "not JSON"), [URL, "not JSON"]),
]


def drawn_parents() -> dict[str, str | None]:
    """Return the parent of each class in the picture in the module's docstring."""
    parents: dict[str, str | None] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"    ([ │├└─]*)([A-Z]\w*Error)(?: +\S.*)?", line)
        if found is None:
            continue
        depth, name = len(found[1]) // 4, found[2]
        assert name not in parents, f"{name} is drawn twice"
        parents[name] = above[depth - 1] if depth else None
        above = {level: other for level, other in above.items() if level < depth} | {depth: name}
    return parents


def test_the_tree_that_is_drawn_is_the_tree_of_the_classes():
    bases = {name: cls.__mro__[1].__name__ if cls is not YoiError else None for name, cls in CLASSES.items()}
    assert drawn_parents() == bases


def test_every_class_says_what_it_is_for_in_the_picture():
    for line in (errors.__doc__ or "").splitlines():
        if re.search(r"[├└]── ", line):
            assert re.search(r"Error +\S", line), line


def test_every_class_is_offered_and_nothing_else():
    assert sorted(errors.__all__) == sorted(CLASSES)
    assert list(errors.__all__) == sorted(errors.__all__)


def test_every_class_bears_its_name_and_a_docstring():
    for name, cls in CLASSES.items():
        assert name.endswith("Error")
        assert issubclass(cls, YoiError)
        assert cls.__doc__


def test_there_is_an_example_of_every_class():
    assert {type(example).__name__ for example, _ in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize(("example", "words"), EXAMPLES, ids=[type(example).__name__ for example, _ in EXAMPLES])
def test_a_message_says_what_the_fields_hold(example: YoiError, words: list[str]):
    assert all(word in str(example) for word in words), str(example)
    assert "\n" not in str(example)


@pytest.mark.parametrize(("example", "words"), EXAMPLES, ids=[type(example).__name__ for example, _ in EXAMPLES])
def test_what_an_error_is_made_of_is_a_field_of_it(example: YoiError, words: list[str]):
    if type(example) is YoiError:
        return
    for name in inspect.signature(type(example)).parameters:
        if name != "message":
            assert hasattr(example, name), name
    if isinstance(example, LogError):
        assert example.directory == DIRECTORY


def test_what_the_disk_refused_is_an_error_of_the_log_and_of_the_system():
    error = errors.LogDiskError(FILE, 800, 17, 5, "Input/output error")
    assert isinstance(error, LogError)
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.filename) == (5, "Input/output error", str(FILE))
    assert sentence_of(error) == str(error)


def test_what_the_system_lacks_for_a_moment_is_passing_and_a_broken_disk_is_not():
    refused = {
        name: errors.LogDiskError(FILE, 800, 17, getattr(errno, name), name) for name in errno.errorcode.values()
    }
    passing = {name for name, error in refused.items() if error.is_passing}
    assert passing == {"EMFILE", "ENFILE", "EINTR", "ENOMEM", "EAGAIN"}
    always = {type(example) for example, _ in EXAMPLES if isinstance(example, LogError) and example.is_passing}
    assert always == {errors.LogBusyError, errors.LogFullError}


def test_a_peers_text_is_cut_before_it_is_kept():
    assert errors.CursorMalformedError("x" * 10_000, "too long").token == "x" * 64
    assert errors.RequestInvalidError("x" * 10_000, "unknown").parameter == "x" * 64
    invalid = WorkerIdInvalidError("x" * 10_000)
    assert invalid.worker_id == "x" * 64
    assert len(str(invalid)) < 200


def test_messages_are_sentences_also_without_what_is_optional():
    assert "another process" in str(errors.LogHeldError(DIRECTORY, None))
    assert str(errors.EventInvalidError(None, "", "not JSON")) == "event: not JSON"
    assert StreamRefusedError(URL, {}).code == ""


def test_a_refusal_carries_its_diagnostic_and_no_reference_to_it():
    diagnostic = {"code": "runtime.cursor_expired", "recovery": "restart_from_oldest", "lost": {"events": 3}}
    refused = StreamRefusedError(URL, diagnostic)
    diagnostic.clear()
    assert (refused.code, refused.recovery, refused.lost) == (
        "runtime.cursor_expired",
        "restart_from_oldest",
        {"events": 3},
    )
    assert refused.diagnostic["lost"] == {"events": 3}
