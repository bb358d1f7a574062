"""The Backend client: follows a Runtime's event stream, comes back when it drops, and never leaves a silent gap.

Start at ``observe``; ``session`` and ``resume`` decide, ``follower`` acts. Imports nothing here: Tornado comes with the
extra ``ws-client`` and is known to ``backend_client`` and ``backend_request`` alone. What is on a Runtime's disk is out
of reach: a cursor is opaque text.
"""
