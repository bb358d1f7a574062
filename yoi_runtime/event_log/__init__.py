"""Events into the log: gives each event its numbers and its record, and keeps the log within its bounds."""
