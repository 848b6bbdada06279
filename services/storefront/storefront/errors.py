"""What the storefront refuses."""

from chassis.problems import NotFound, Unavailable


class OrderUnavailable(Unavailable):
    """Without the order itself there is nothing to join. The other parts of the details may be missing."""

    code, title = "order_unavailable", "The order cannot be read at the moment."


class NoSuchService(NotFound):
    code, title = "no_such_service", "No service of that name has a reference here."


class ReferenceUnavailable(Unavailable):
    code, title = "reference_unavailable", "The service does not tell its interface at the moment."
