"""The audit service: it records all events in a hash chain, in its database and in a file of JSON lines.

It consumes every event and emits none. It never changes an entry.
"""
