"""Transcripts: what the Workers said, folded from the log and kept for longer than the log. Knows no socket."""
