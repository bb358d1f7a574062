"""``yoi-log``: look into a log, check it, mend it, play it again, draw it.

A reader of the files like any other: it uses the public core (``segment_log``, ``events``, ``catalog``), opens nothing
for writing in the directory it is given, and works on a log that a Runtime is writing at the moment. What writes
(repair, fork, replay into another log) writes to a directory of its own. The server is known to ``replay_server``
alone, for serving a recorded log. Documentation: docs/tools.md.
"""
