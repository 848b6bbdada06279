"""The metrics of users, beside those of the chassis."""

from prometheus_client import Counter

SIGN_INS_THROTTLED = Counter(
    "cartwright_sign_ins_held_back", "Sign-in attempts that were refused with 429 too_many_attempts."
)
