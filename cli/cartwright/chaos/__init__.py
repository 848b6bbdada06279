"""`cartwright chaos`: breaks a system of its own under load, lets it heal, and judges it by every promise.

It owns the schedule of faults, the ways to inject them, the clients and their record of what they were answered. It
never touches another system than the one that it has started itself.
"""
