"""Every refusal of the service reaches clients as a problem with a code of its own."""

import inspect

from chassis.problems import Refusal, refusal_to_problem
from notifications import errors

REFUSALS = [found for _, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]


def test_every_refusal_has_a_code_of_its_own_and_is_told() -> None:
    assert REFUSALS
    assert len({refusal.code for refusal in REFUSALS}) == len(REFUSALS)
    for refusal in REFUSALS:
        assert issubclass(refusal, Refusal)
        assert "code" in vars(refusal)
        problem = refusal_to_problem(refusal())
        assert (problem.status_code, problem.type_) == (refusal.status, f"urn:cartwright:problem:{refusal.code}")
