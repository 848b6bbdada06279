"""The `cartwright` command: options in, one call, and every expected trouble as one clear sentence."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cartwright.bench.options import bench
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import PORT_DEFAULT, REPLICAS_MAX
from cartwright.launcher.listening import PORT_BASE_MAX
from cartwright.launcher.system import RATE_LIMIT_DEFAULT, Entry
from cartwright.launcher.tls import TlsFiles
from cartwright.launcher.trusted_proxies import parse_trusted_proxies

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Runs a whole Cartwright system."
)

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="CARTWRIGHT_SYSTEM",
        help="The data folder of the system, or a file that tells of one elsewhere.",
    ),
]
DATA_DEFAULT = Path(".cartwright")
Url = Annotated[
    str | None,
    typer.Option("--url", help="The gateway of a system elsewhere, of which secrets/system.json tells, or --data."),
]
SECRETS_DEFAULT = Path("secrets")
TrustedProxiesOption = Annotated[
    str,
    typer.Option(
        "--trusted-proxies",
        envvar="CARTWRIGHT_TRUSTED_PROXIES",
        metavar="N|CIDR,...",
        help="The proxies before the gateway whose x-forwarded-for counts: how many, or their networks.",
    ),
]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]

orders = typer.Typer(no_args_is_help=True, help="See and mend orders that are stuck.")
dead_letters = typer.Typer(no_args_is_help=True, help="See and redrive events that failed for good.")
events = typer.Typer(no_args_is_help=True, help="Fill a broker again that lost its store.")
app.add_typer(orders, name="orders")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(events, name="events")
app.add_typer(bench, name="bench")


@app.command()
def up(
    data: Data = DATA_DEFAULT,
    port: Annotated[
        int, typer.Option(min=1024, max=PORT_BASE_MAX, help="The gateway's port; all others follow it.")
    ] = PORT_DEFAULT,
    rate_limit: Annotated[str, typer.Option(metavar="N|off", help="Requests per second and user.")] = str(
        RATE_LIMIT_DEFAULT
    ),
    replicas: Annotated[int, typer.Option(min=1, max=REPLICAS_MAX, help="How many of each service run.")] = 1,
    events_url: Annotated[
        str | None,
        typer.Option(
            envvar="CARTWRIGHT_EVENTS_URL",
            metavar="amqp://...",
            help="A RabbitMQ (or a NATS) of your own, which then takes the place of the one that comes along.",
        ),
    ] = None,
    trusted_proxies: TrustedProxiesOption = "",
    tls_certificate: Annotated[
        Path | None, typer.Option(envvar="CARTWRIGHT_TLS_CERTIFICATE", help="Serve TLS with this certificate (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="CARTWRIGHT_TLS_KEY", help="The certificate's private key (PEM).")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is ready.")] = False,
) -> None:
    """Start everything. Ctrl-C stops it, unless detached."""
    from cartwright.up import up as bring_up

    entry = Entry(_checked_proxies(trusted_proxies), _parse_tls(tls_certificate, tls_key))
    bring_up(data, port, _parse_rate_limit(rate_limit), replicas, _parse_events_url(events_url), entry, detach=detach)


@app.command()
def down(
    data: Data = DATA_DEFAULT,
    erase: Annotated[bool, typer.Option("--erase", help="Remove the system with all its data, too.")] = False,
) -> None:
    """Stop everything. The data stays."""
    from cartwright.down import down as bring_down

    print(bring_down(data, erase=erase))


@app.command()
def status(
    data: Data = DATA_DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show which parts run and are ready. Exit code 0 when all are, 1 otherwise."""
    from cartwright.status import status as show_status

    if not show_status(data, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def logs(
    data: Data = DATA_DEFAULT,
    correlation_id: Annotated[str | None, typer.Option(help="Only the lines of this one request or purchase.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is written from now on.")] = False,
) -> None:
    """Show the logs of all parts in the order of time."""
    from cartwright.logs import logs as show_logs

    show_logs(data, correlation_id, follow=follow)


@app.command()
def token(
    email: Annotated[str, typer.Option(help="The account's e-mail address; it is made when there is none.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make it an administrator's.")] = False,
) -> None:
    """Print an access token, for scripts."""
    from cartwright.token import token as make_token

    print(make_token(_place(data, url), email, admin=admin, url=url))


@app.command()
def demo(data: Data = DATA_DEFAULT, url: Url = None) -> None:
    """Buy something on the running system, and tell each step. Exit code 1 when one is not as promised."""
    from cartwright.demo import demo as show_demo

    show_demo(_place(data, url), url)


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="Where to; for its owner alone.")] = SECRETS_DEFAULT,
) -> None:
    """Make the secrets of a system under Docker Compose, as far as they are missing."""
    from cartwright.compose.secrets import make_secrets

    make_secrets(folder)


@app.command()
def gateway(
    trusted_proxies: TrustedProxiesOption = "",
    tls: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Serve TLS with the tls.crt and tls.key of this folder.")
    ] = None,
    traced: Annotated[bool, typer.Option("--traced", help="Send traces to Jaeger.")] = False,
) -> None:
    """Print a configuration of the gateway for Docker Compose."""
    from cartwright.compose.gateway import CERTIFICATE_NAME, KEY_NAME, own_configuration
    from cartwright.launcher.tls import check

    proxies = parse_trusted_proxies(_checked_proxies(trusted_proxies))
    if tls is not None:
        check(TlsFiles(str(tls / CERTIFICATE_NAME), str(tls / KEY_NAME)))
    print(own_configuration(trusted_proxies=proxies, with_tls=tls is not None, is_traced=traced), end="")


@app.command()
def verify(
    data: Data = DATA_DEFAULT,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the system to become quiet.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check every promise on the data. Exit code 1 when one is broken, 2 when they could not be checked."""
    from cartwright.verify import verify_system

    try:
        holds = verify_system(data, wait, as_json=as_json)
    except CannotGoOn as error:
        print(f"cartwright: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    if not holds:
        raise typer.Exit(1)


@app.command()
def chaos(
    seed: Annotated[int | None, typer.Option(help="The same seed, the same faults; any by default.")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="For how long it is broken.")] = 5.0,
    faults: Annotated[int | None, typer.Option(min=0, help="How many; one every 5 seconds by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the system's data and the record behind.")] = False,
) -> None:
    """Break a system of its own under load, let it heal, check every promise. Exit code 1 when one is broken."""
    from cartwright.chaos.command import chaos as break_things

    if not break_things(seed, minutes, faults, as_json=as_json, keep=keep):
        raise typer.Exit(1)


@orders.command("stuck")
def stuck_orders(
    data: Data = DATA_DEFAULT,
    older_than: Annotated[float, typer.Option(min=0, help="On their way for so many seconds.")] = 60.0,
) -> None:
    """List orders that are on their way for too long, with what holds them up."""
    from cartwright.operate import show_stuck_orders

    show_stuck_orders(data, older_than)


@orders.command("retry")
def retry_order(order_id: UUID, why: Why, data: Data = DATA_DEFAULT) -> None:
    """Try an order again now, whatever it waits for."""
    from cartwright import operate

    print(operate.retry_order(data, str(order_id), why))


@orders.command("cancel")
def cancel_order(order_id: UUID, why: Why, data: Data = DATA_DEFAULT) -> None:
    """Cancel an order; stock and money go back."""
    from cartwright import operate

    print(operate.cancel_order(data, str(order_id), why))


@dead_letters.command("list")
def list_dead_letters(data: Data = DATA_DEFAULT) -> None:
    """List the events that failed for good, service by service, with the reason."""
    from cartwright.operate import show_dead_letters

    show_dead_letters(data)


@dead_letters.command("redrive")
def redrive_dead_letter(service: str, event_id: UUID, why: Why, data: Data = DATA_DEFAULT) -> None:
    """Give an event its effect after all."""
    from cartwright import operate

    print(operate.redrive_dead_letter(data, service, str(event_id), why))


@events.command("replay")
def replay_events(
    since: Annotated[datetime, typer.Option(help="Of this machine's clock.")], why: Why, data: Data = DATA_DEFAULT
) -> None:
    """Publish again the events emitted since then. A consumer ignores an event that it has had already."""
    from cartwright.launcher import operator_calls

    print(operator_calls.replay_events(data, since, why))


def _place(data: Path, url: str | None) -> Path:
    """Where to read of the system: of one elsewhere, beside its secrets, unless it is said otherwise."""
    return SECRETS_DEFAULT / "system.json" if url is not None and data == DATA_DEFAULT else data


def _parse_rate_limit(text: str) -> int | None:
    if text == "off":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter("a number of requests per second, or off", param_hint="--rate-limit")
    return int(text)


def _parse_events_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("amqp://", "amqps://", "nats://")):
        raise typer.BadParameter("an address that starts with amqp://, amqps:// or nats://", param_hint="--events-url")
    return url


def _checked_proxies(text: str) -> str:
    try:
        parse_trusted_proxies(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--trusted-proxies") from None
    return text


def _parse_tls(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("a certificate and its key go together", param_hint="--tls-certificate, --tls-key")
    return TlsFiles(str(certificate.absolute()), str(key.absolute()))


def main() -> None:
    try:
        app()
    except CannotGoOn as error:
        print(f"cartwright: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has closed it: print nothing more, not even at exit.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        # No permission, no space: the machine's trouble and not a defect to be traced.
        print(
            f"cartwright: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", file=sys.stderr
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
