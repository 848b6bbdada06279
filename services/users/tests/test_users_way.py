"""The whole way of a person, over HTTP."""

from typing import Any


async def test_a_person_registers_signs_in_refreshes_and_signs_out(service: Any) -> None:
    registered = await service.register(" Ada@Example.COM ", "  Ada Lovelace ")
    assert registered.status_code == 201
    body = registered.json()
    assert set(body) == {"id", "email", "name", "created_at"}
    assert (body["email"], body["name"]) == ("ada@example.com", "Ada Lovelace")
    assert registered.headers["location"] == f"/users/{body['id']}"

    signed_in = await service.sign_in("ADA@example.com")
    assert signed_in.status_code == 200, signed_in.text
    assert signed_in.headers["cache-control"] == "no-store"
    tokens = signed_in.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)

    profile = await service.call("GET", "/users/me", token=tokens["access_token"])
    assert profile.status_code == 200
    assert profile.json()["id"] == body["id"]

    refreshed = await service.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200
    newest = refreshed.json()["refresh_token"]
    assert newest != tokens["refresh_token"]

    for _ in range(2):
        assert (await service.call("POST", "/auth/sign-out", json={"refresh_token": newest})).status_code == 204
    assert (await service.refresh(newest)).json()["code"] == "invalid_grant"
