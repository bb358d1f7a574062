"""Every exception that yoi_runtime raises on purpose, in one tree.

    YoiError
    ├── MissingExtraError            an optional dependency is not installed
    ├── ConfigurationError           a configuration file that cannot be used
    ├── LogError                     the log on disk; carries ``directory``
    │   ├── LogHeldError             another process holds the log for writing
    │   ├── LogClosedError           this writer was closed
    │   ├── LogBusyError             too many bytes wait for the disk
    │   ├── LogReentryError          called from within an append of the same thread (a signal handler)
    │   ├── LogFullError             the disk refused bytes; the log is whole, try again later
    │   ├── LogDiskError             the disk refused a record for another reason than room; an OSError, too
    │   ├── LogStoppedError          of several events the first are in the log, the others are not
    │   ├── LogBrokenError           the writer can promise nothing any more; open the log anew
    │   ├── LogNotFoundError         no log in this directory
    │   ├── LogPlacementError        the directory is on a file system where a log is not safe
    │   ├── LogFormatError           a file of the log is of a shape we do not know
    │   │   └── LogVersionError      it is sound, and of a format version we do not know
    │   ├── LogUnavailableError      the answer needs a writer to open (or be alive on) this log first
    │   ├── RecordTooLargeError      a record over the limit; nothing was written
    │   ├── RecordCorruptError       unreadable bytes at a known place
    │   └── SegmentGoneError         the segment being read was rotated out
    ├── CursorError                  an answer to a cursor; carries ``token``
    │   ├── CursorMalformedError     it does not decode
    │   ├── CursorForeignError       it belongs to another log
    │   ├── CursorExpiredError       an event after it was rotated out; carries the floor
    │   ├── CursorUnknownError       there is no such place
    │   └── CursorAheadError         it lies past the end
    ├── EventInvalidError            an event that breaks the vocabulary's rules
    ├── RequestInvalidError          a request for a stream that breaks the protocol's rules
    ├── FrameInvalidError            a text message that is no frame
    ├── CaseInvalidError             a conformance case that breaks the grammar of cases
    ├── WorkerError                  carries ``worker_id``
    │   ├── WorkerIdInvalidError     the id breaks the grammar
    │   ├── WorkerRunningError       a Worker of this id runs already
    │   ├── WorkerNotFoundError      no Worker of this id
    │   ├── WorkerEndedError         the Worker has ended; it takes no more events
    │   └── WorkerStartError         its command could not be started
    ├── IngestError                  the local socket of a Runtime
    │   ├── IngestRefusedError       it refused a line or a connection; carries ``code``
    │   └── IngestLostError          it went away and was not back in time
    ├── AdapterError                 no adapter of this name, or one that cannot be used
    ├── TranscriptError              the transcripts kept beside a log
    │   ├── TranscriptDamagedError   their file is not what it should be; it is set aside and made anew
    │   ├── TranscriptUnavailableError  nothing can be answered at present
    │   └── TranscriptExpiredError   items that were asked for are gone
    ├── AccessError                  who may connect to a server, and how
    │   ├── SecretFileError          a file of tokens, a certificate or a key that is not to be used
    │   ├── TokenNotFoundError       no token of this name, or several
    │   ├── OpenToAllError           others than this machine could connect, and no token would be asked for
    │   └── DescriptorLimitError     too few files and sockets may be open
    ├── CursorStoreError             the Backend client cannot load or save a cursor
    └── StreamError                  the Backend client's side of a stream
        ├── StreamConnectError       no connection: refused, timed out, not resolved, TLS
        ├── StreamRefusedError       the Runtime refused; carries the diagnostic
        ├── StreamGapError           events are missing between two that came
        └── StreamFrameError         a message that cannot be read; it may have been an event

Errors carry fields and build their message from them. ``OSError`` passes through the
log unchanged where the tree above has no word for it (opening, reading, deleting), after the file is back in a good state.
"""

from __future__ import annotations

from yoi_runtime.errors.access_errors import (
    AccessError,
    DescriptorLimitError,
    OpenToAllError,
    SecretFileError,
    TokenNotFoundError,
)
from yoi_runtime.errors.configuration_errors import (
    ConfigurationError,
)
from yoi_runtime.errors.cursor_errors import (
    CursorAheadError,
    CursorError,
    CursorExpiredError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
)
from yoi_runtime.errors.ingest_errors import (
    IngestError,
    IngestLostError,
    IngestRefusedError,
)
from yoi_runtime.errors.log_errors import (
    LogBrokenError,
    LogBusyError,
    LogClosedError,
    LogDiskError,
    LogError,
    LogFormatError,
    LogFullError,
    LogHeldError,
    LogNotFoundError,
    LogPlacementError,
    LogReentryError,
    LogStoppedError,
    LogUnavailableError,
    LogVersionError,
    RecordCorruptError,
    RecordTooLargeError,
    SegmentGoneError,
)
from yoi_runtime.errors.message_errors import (
    CaseInvalidError,
    EventInvalidError,
    FrameInvalidError,
    RequestInvalidError,
)
from yoi_runtime.errors.root import (
    MissingExtraError,
    YoiError,
)
from yoi_runtime.errors.stream_errors import (
    CursorStoreError,
    StreamConnectError,
    StreamError,
    StreamFrameError,
    StreamGapError,
    StreamRefusedError,
)
from yoi_runtime.errors.transcript_errors import (
    TranscriptDamagedError,
    TranscriptError,
    TranscriptExpiredError,
    TranscriptUnavailableError,
)
from yoi_runtime.errors.worker_errors import (
    AdapterError,
    WorkerEndedError,
    WorkerError,
    WorkerIdInvalidError,
    WorkerNotFoundError,
    WorkerRunningError,
    WorkerStartError,
)

__all__ = [
    "AccessError",
    "AdapterError",
    "CaseInvalidError",
    "ConfigurationError",
    "CursorAheadError",
    "CursorError",
    "CursorExpiredError",
    "CursorForeignError",
    "CursorMalformedError",
    "CursorStoreError",
    "CursorUnknownError",
    "DescriptorLimitError",
    "EventInvalidError",
    "FrameInvalidError",
    "IngestError",
    "IngestLostError",
    "IngestRefusedError",
    "LogBrokenError",
    "LogBusyError",
    "LogClosedError",
    "LogDiskError",
    "LogError",
    "LogFormatError",
    "LogFullError",
    "LogHeldError",
    "LogNotFoundError",
    "LogPlacementError",
    "LogReentryError",
    "LogStoppedError",
    "LogUnavailableError",
    "LogVersionError",
    "MissingExtraError",
    "OpenToAllError",
    "RecordCorruptError",
    "RecordTooLargeError",
    "RequestInvalidError",
    "SecretFileError",
    "SegmentGoneError",
    "StreamConnectError",
    "StreamError",
    "StreamFrameError",
    "StreamGapError",
    "StreamRefusedError",
    "TokenNotFoundError",
    "TranscriptDamagedError",
    "TranscriptError",
    "TranscriptExpiredError",
    "TranscriptUnavailableError",
    "WorkerEndedError",
    "WorkerError",
    "WorkerIdInvalidError",
    "WorkerNotFoundError",
    "WorkerRunningError",
    "WorkerStartError",
    "YoiError",
]
