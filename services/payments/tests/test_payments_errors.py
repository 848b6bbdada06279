"""Every refusal of the service has its own code and becomes a problem document (RFC 9457)."""

from chassis import problems
from chassis.problems import Refusal
from payments import errors


def refusals() -> list[type[Refusal]]:
    return [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Refusal) and thing.__module__ == errors.__name__
    ]


def test_every_refusal_has_its_own_code() -> None:
    own = [refusal.code for refusal in refusals()]
    shared = {thing.code for thing in vars(problems).values() if isinstance(thing, type) and issubclass(thing, Refusal)}
    assert len(set(own)) == len(own) > 0
    assert not shared & set(own)


def test_every_refusal_becomes_a_problem_document() -> None:
    for refusal in refusals():
        problem = problems.refusal_to_problem(refusal())
        assert 400 <= problem.status_code < 500
        assert problem.type_ == f"urn:cartwright:problem:{refusal.code}"
        assert problem.detail
