"""Every refusal of the service has a code of its own, and is told as a problem."""

from chassis import problems
from chassis.problems import Refusal
from payments import errors


def refusals() -> list[type[Refusal]]:
    return [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Refusal) and thing.__module__ == errors.__name__
    ]


def test_every_refusal_has_a_code_of_its_own() -> None:
    own = [refusal.code for refusal in refusals()]
    shared = {thing.code for thing in vars(problems).values() if isinstance(thing, type) and issubclass(thing, Refusal)}
    assert len(set(own)) == len(own) > 0
    assert not shared & set(own)


def test_every_refusal_is_told_as_a_problem() -> None:
    for refusal in refusals():
        told = problems.refusal_to_problem(refusal())
        assert 400 <= told.status_code < 500
        assert told.type_ == f"urn:cartwright:problem:{refusal.code}"
        assert told.detail
