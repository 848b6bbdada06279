"""The users service: who is this?

It owns accounts, password hashes, sessions, profiles, preferences, and the keys that sign access tokens. It knows no
orders and no payments. Other services know users by its events and by `POST /users/lookup`.
"""
