"""What the notifications service is told at its start."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    port: int = 8095
    payments_url: str
    smtp_host: str
    smtp_port: int = 25
    """On 465 the connection is TLS from its start; on others TLS is used when it is offered."""
    smtp_username: str = ""
    """Empty: no login. A login is only ever sent over TLS."""
    smtp_password: str = ""
    mail_from: str
    """The sender, such as `Cartwright <shop@cartwright.example>`."""
