"""The settings of audit."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    port: int = 8096
    data_dir: str
    """The folder of both files. It is created when it does not exist."""
    lines_name: str = "audit.jsonl"
    """The name of the file of JSON lines. Replicas that share the folder share the file, and one of them writes it."""
    heads_name: str = "audit-heads.jws"
    """The name of the file of signed heads."""
