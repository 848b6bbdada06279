"""What every Cartwright service needs and none should write again.

It owns the technical side: HTTP, tokens, the database, the journal and the inbox, the broker, batches, logs, metrics
and traces. It never knows what a service is about: no word of the shop stands here.
"""
