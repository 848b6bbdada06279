"""Who calls, and what the caller may do: tokens, revocations, guards of routes, the address of a client."""
