"""The settings of notifications."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    port: int = 8095
    payments_url: str
    smtp_host: str
    smtp_port: int = 25
    """On port 465 the connection uses TLS from its start; on others it uses TLS when the server offers it."""
    smtp_username: str = ""
    """Empty: no login. A login is only sent over TLS."""
    smtp_password: str = ""
    mail_from: str
    """The sender, such as `Cartwright <shop@cartwright.example>`."""
