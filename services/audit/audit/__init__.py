"""The audit service: the journal of every event, hash-chained, in its database and in a file of JSON lines.

It owns what was said, word for word. It says nothing itself, asks nobody, and never changes what it has written.
"""
