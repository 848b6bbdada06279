"""A module or package for each broker. Each is a `chassis.messaging.broker.Broker`; one test suite holds for all."""

from urllib.parse import urlsplit

from chassis.messaging.broker import Broker


def broker_for(events_url: str, client: str) -> Broker:
    """The broker that `events_url` names. Raises `ValueError` for a scheme that is none of nats, amqp and amqps."""
    scheme = urlsplit(events_url).scheme
    if scheme == "nats":
        from chassis.messaging.brokers.nats import NatsBroker

        return NatsBroker(events_url, client)
    if scheme in ("amqp", "amqps"):
        from chassis.messaging.brokers.rabbitmq.broker import RabbitBroker

        return RabbitBroker(events_url, client)
    raise ValueError(f"EVENTS_URL has to start with nats://, amqp:// or amqps://, not {scheme}://.")
