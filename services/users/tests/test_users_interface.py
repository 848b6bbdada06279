"""The interface as a whole: every refusal is a problem, and no input causes a server error."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import settings as effort

import users.errors
from chassis.problems import Refusal, refusal_to_problem


def refusals(root: type[Refusal] = Refusal) -> set[type[Refusal]]:
    ours = {kind for kind in root.__subclasses__() if kind.__module__ == users.errors.__name__}
    return ours.union(*(refusals(kind) for kind in root.__subclasses__()))


def test_every_refusal_is_a_problem_with_a_unique_code() -> None:
    kinds = refusals() - {users.errors.OAuthRefusal}
    problems = [refusal_to_problem(kind()) for kind in kinds]
    codes = {problem.extra["code"] for problem in problems if isinstance(problem.extra, dict)}
    assert codes == {kind.code for kind in kinds}
    assert len(codes) == len(kinds) == 10
    for problem in problems:
        assert 400 <= problem.status_code < 500
        assert problem.title != Refusal.title


@pytest.mark.asyncio(loop_scope="module")
async def test_no_generated_request_causes_a_server_error(service: Any, service_token: Any) -> None:
    administrator = await service.administrator()

    def call_all_operations() -> None:
        for found in schemathesis.openapi.from_url(f"{service.address}/openapi.json").get_all_operations():

            @given(case=found.ok().as_strategy())
            @effort(max_examples=15, derandomize=True, deadline=None, database=None)
            def call(case: schemathesis.Case) -> None:
                token = service_token("orders", "users") if case.path == "/users/lookup" else administrator
                case.call_and_validate(
                    headers={"authorization": f"Bearer {token}"}, checks=[schemathesis.checks.not_a_server_error]
                )

            call()

    await asyncio.to_thread(call_all_operations)
