"""`cartwright bench`: how fast a system of its own is, at what cost, and beside pgbench in the same run.

It owns the load, the baseline and the sums. It never runs on a system in use, and never turns durability off: neither
for the system, nor for the baseline.
"""
