"""The refusals of the storefront."""

from chassis.problems import NotFound, Unavailable


class OrderUnavailable(Unavailable):
    """Without the order there are no details. The other parts may be missing."""

    code, title = "order_unavailable", "The order cannot be read at the moment."


class NoSuchService(NotFound):
    code, title = "no_such_service", "The reference has no service of this name."


class ReferenceUnavailable(Unavailable):
    code, title = "reference_unavailable", "The OpenAPI document of the service is not available at the moment."
