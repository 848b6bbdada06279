"""What the notifications service refuses, with the codes that clients decide by."""

from chassis.problems import Invalid


class UndeliverableAddress(Invalid):
    code, title = "undeliverable_address", "This is no address that mail can be sent to."


class BlankSubject(Invalid):
    code, title = "blank_subject", "The subject is empty."


class BodyTooLong(Invalid):
    code, title = "mail_too_long", "The body of a mail takes up to 32 KiB."
