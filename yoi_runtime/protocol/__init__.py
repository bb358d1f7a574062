"""The wire, shared by server and client: frames, diagnostics, close codes, requests, paths, HTTP answers.

Pure: bytes and values in, bytes and values out. Opens no socket and no file, and knows a cursor only
as opaque text. Specification: docs/protocol.md.
"""
