"""The users service: who is this?

It owns accounts, password hashes, sessions, profiles, preferences and the keys that access tokens are signed with. It
never sees an order or a payment, and it tells others about people only by its events and `POST /users/lookup`.
"""
