"""Sample recordings: real programs run through a Runtime, and what the log holds afterwards, for tests and demos."""
