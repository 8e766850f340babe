"""Asking a service again, after a pause, when it could not answer."""

from collections.abc import Callable

from google.api_core.retry import Retry

#: What may pass: too many requests, or a service or gateway in trouble.
PASSING = (429, 502, 503, 504)


def back_off(may_pass: Callable[[BaseException], bool]) -> Retry:
    """Return a decorator that asks again for five minutes.

    It pauses for up to 1 s, then 2 s, and so on to 32 s, as Google's agreements of
    service ask of their clients.

    Args:
        may_pass: tells whether an exception is worth another try.
    """
    return Retry(
        predicate=may_pass, initial=1.0, maximum=32.0, multiplier=2.0, timeout=300.0
    )
