"""The Runtime: the process-wide owner of Workers and of the one writer of a log."""
