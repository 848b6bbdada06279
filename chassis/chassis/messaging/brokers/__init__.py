"""A module or package for each broker. Each is a `chassis.messaging.broker.Broker`; one test suite holds for all."""
