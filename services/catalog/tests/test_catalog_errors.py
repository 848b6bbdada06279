"""Every refusal has a code of its own, and a problem shows it."""

from typing import get_args

import pytest

from catalog import errors
from catalog.domain.reservation import TOTAL_MINOR_MAX, RefusalCode
from catalog.http.reservations import REFUSALS
from chassis.problems import Refusal, refusal_to_problem
from chassis.values.money import MINOR_MAX

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", TREE)
def test_a_problem_has_the_code_and_the_detail_of_its_refusal(kind: type[Refusal]) -> None:
    problem = refusal_to_problem(kind("Because."))
    assert 400 <= problem.status_code < 500
    assert isinstance(problem.extra, dict)
    assert problem.extra["code"] == kind.code
    assert problem.detail == "Because."


def test_no_two_refusals_share_a_code() -> None:
    assert len({kind.code for kind in TREE}) == len(TREE) > 8
    assert not {kind.code for kind in TREE} & {
        parent.code for kind in TREE for parent in kind.__bases__ if issubclass(parent, Refusal)
    }


def test_every_refusal_of_a_reservation_is_a_problem_for_a_single_product() -> None:
    assert set(REFUSALS) == set(get_args(RefusalCode))
    assert all(kind.code == code for code, kind in REFUSALS.items())


def test_a_reservation_and_money_have_the_same_largest_amount() -> None:
    assert TOTAL_MINOR_MAX == MINOR_MAX
