"""The names of everything that this program tells its operator: one registry, so that an alert can hold on to a name.

A notice is one line on stderr; its name is stable, its text is for people and free to change:

    _log.warning("segment %d has no place file: %s", number, error, extra=named(Notice.PLACE_FILE_NOT_MADE, segment=number))

Loggers are the standard library's and know nothing of the form of the line, which the program that runs them chooses
(cli/operator_log.py). What each name means and what to do about it: docs/operations.md, "Log events".
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FIELDS_ATTRIBUTE", "NOTICE_ATTRIBUTE", "Notice", "named"]

NOTICE_ATTRIBUTE = "notice"
FIELDS_ATTRIBUTE = "notice_fields"


class Notice(StrEnum):
    """A name that is released is never given to anything else."""

    # The program and its processes.
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMMAND_FAILED = "command_failed"
    COMMAND_CRASHED = "command_crashed"
    EVERYBODY_CAN_READ = "everybody_can_read"
    WITHOUT_TLS = "without_tls"
    WORKER_ENDED = "worker_ended"
    WORKER_RESTARTED = "worker_restarted"
    WORKER_GIVEN_UP = "worker_given_up"
    WORKER_NOT_STARTED = "worker_not_started"
    INGEST_UNAVAILABLE = "ingest_unavailable"
    INGEST_WITHOUT_LOG = "ingest_without_log"
    INGEST_FAILED = "ingest_failed"
    SERVER_PROCESS_ENDED = "server_process_ended"
    SERVER_PROCESS_UNMEASURED = "server_process_unmeasured"
    LOG_TAKES_NOTHING = "log_takes_nothing"
    LOG_TAKES_AGAIN = "log_takes_again"
    LOG_OUT_OF_SERVICE = "log_out_of_service"
    WATCHDOG_WITHHELD = "watchdog_withheld"
    SERVICE_MANAGER_LOST = "service_manager_lost"
    TOLD = "told"
    # This log of notices itself.
    SUPPRESSED = "suppressed"
    LIBRARY = "library"

    # Serving.
    SUBSCRIBER_CONNECTED = "subscriber_connected"
    SUBSCRIBER_LEFT = "subscriber_left"
    SUBSCRIBER_TOO_SLOW = "subscriber_too_slow"
    SUBSCRIBER_FAILED = "subscriber_failed"
    SUBSCRIBER_WITHOUT_LOG = "subscriber_without_log"
    SUBSCRIBER_WITHOUT_PLACE = "subscriber_without_place"
    REQUEST_ANSWERED = "request_answered"
    REQUEST_FAILED = "request_failed"
    REQUEST_WITHOUT_LOG = "request_without_log"
    REFUSED = "refused"
    DESCRIPTORS_SCARCE = "descriptors_scarce"
    TOKENS_RELOADED = "tokens_reloaded"
    TOKENS_UNUSABLE = "tokens_unusable"
    CERTIFICATE_RELOADED = "certificate_reloaded"
    CERTIFICATE_UNUSABLE = "certificate_unusable"
    GUARD_FAILED = "guard_failed"
    LOOP_BLOCKED = "loop_blocked"

    # The log, as it is read.
    LOG_NOT_FOLLOWED = "log_not_followed"
    LOG_NOT_SHOWN_TO_ITS_END = "log_not_shown_to_its_end"
    LOG_DIRECTORY_UNREADABLE = "log_directory_unreadable"
    LOG_REPLACED = "log_replaced"
    LOG_POLLED = "log_polled"
    RECORD_DAMAGED = "record_damaged"
    PLACE_FILE_UNREADABLE = "place_file_unreadable"

    # The log, as it is written.
    PLACE_FILES_PAUSED = "place_files_paused"
    PLACE_FILE_NOT_MADE = "place_file_not_made"
    ALERT_NOT_WRITTEN = "alert_not_written"
    APPEND_NOT_MENDED = "append_not_mended"
    BOOKS_NOT_KEPT = "books_not_kept"
    CATALOG_NOT_SAVED = "catalog_not_saved"
    LOSS_NOT_WRITTEN = "loss_not_written"
    MAINTENANCE_FAILED = "maintenance_failed"
    RETENTION_FAILED = "retention_failed"
    RUNTIME_END_NOT_WRITTEN = "runtime_end_not_written"
    WORKER_END_NOT_WRITTEN = "worker_end_not_written"
    WORKER_OUTPUT_GIVEN_UP = "worker_output_given_up"
    ADAPTER_FAILED = "adapter_failed"

    # Transcripts.
    TRANSCRIPTS_PAUSED = "transcripts_paused"
    TRANSCRIPTS_FAILED = "transcripts_failed"
    TRANSCRIPTS_DAMAGED = "transcripts_damaged"
    TRANSCRIPTS_NOT_SET_ASIDE = "transcripts_not_set_aside"
    TRANSCRIPTS_MADE_ANEW = "transcripts_made_anew"
    TRANSCRIPTS_INCOMPLETE = "transcripts_incomplete"
    TRANSCRIPTS_UNREADABLE = "transcripts_unreadable"

    # The client library.
    STREAM_OFFERS_LESS = "stream_offers_less"
    STREAM_RETRIED = "stream_retried"


def named(notice: Notice, **fields: object) -> dict[str, object]:
    """Return the ``extra`` of a logging call. ``fields``: numbers and short texts; no secret, no token, no path."""
    return {NOTICE_ATTRIBUTE: notice, FIELDS_ATTRIBUTE: fields}
