"""What the audit service is told at its start."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    port: int = 8096
    data_dir: str
    """The folder of the JSON-lines file; made when missing."""
    lines_name: str = "audit.jsonl"
    """The name of the file. Replicas that share a folder share the file: one of them writes it."""
    heads_name: str = "audit-heads.jws"
    """The name of the file of signed heads, beside it."""
