"""What a command tells a person instead of a traceback: what is wrong, and what to do about it."""


class CannotGoOn(Exception):
    """The message is shown as it is, and the command ends with exit code 1."""


class NoSuchSystem(CannotGoOn):
    """There is no system at this data folder, or none that runs."""


class AlreadyRunning(CannotGoOn):
    """The system at this data folder runs already."""


class PortInUse(CannotGoOn):
    """Another process listens on a port of this system."""


class StartFailed(CannotGoOn):
    """A part did not become ready; the message ends with its last log lines."""


class SystemGone(CannotGoOn):
    """The system was running, and another process stopped it."""


class PromiseBroken(CannotGoOn):
    """The system did something else than it promises."""
