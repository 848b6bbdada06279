"""RabbitMQ: quorum queues for the groups, and a stream that keeps the history of all events."""
