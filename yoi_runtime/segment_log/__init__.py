"""The log on disk: segments of newline-ended records, one writer, any number of readers.

Owns files, cursors, the watermark, recovery and retention. Knows bytes, never events: the body of
a record is the caller's. Format: docs/log-format.md.
"""
