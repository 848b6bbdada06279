"""The names of the services and of the broker stream, the reaper and RabbitMQ's program, for tests."""

from cartwright.launcher import rabbitmq
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE, STREAM
from cartwright.launcher.reaper import Reaper

__all__ = ["SERVICES", "SERVICES_WITH_DATABASE", "STREAM", "Reaper", "rabbitmq"]
