"""Serving a log to Backends over WebSocket and HTTP (extra ``ws-server``). Imports nothing here: see ``event_server``."""
