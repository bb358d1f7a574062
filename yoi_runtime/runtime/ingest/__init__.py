"""Local ingest: programs of this machine bring their Workers through ``DATA_DIR/runtime.sock``.

    socket -> connection -> line -> Worker.offer_many -> answer, when the log has it

Takes events in and gives none out. asyncio and the standard library only, on a thread and a loop of its own.
Specification: docs/ingest.md.
"""
