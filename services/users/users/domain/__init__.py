"""The rules of users: accounts, sessions, signing keys and sign-in limits. No I/O."""
