"""Real Workers: child processes whose output becomes events.

Owns the processes, their pipes and the translation of lines. Never appends: events go to an
``EventSink`` (``event_sink.py``) that the Runtime gives. asyncio and the standard library only.
"""
