"""What a person writes behind an option, as a value; what it cannot be is refused with the option's name."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.command_line import key_and_value, refuse


def pairs(texts: Sequence[str] | None, option: str, form: str) -> dict[str, str]:
    """What do repeated ``key=value`` options say?

    >>> pairs(["a=1", "b=x=y"], "--size", "NAME=N")
    {'a': '1', 'b': 'x=y'}
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, value = key_and_value(text, option, form)
        if key in found:
            refuse(option, "must name each once", f"{key} twice", "Leave one out.")
        found[key] = value
    return found


def headers(texts: Sequence[str] | None) -> dict[str, str]:
    """Which headers do repeated ``NAME: VALUE`` options say?

    >>> headers(["Authorization: Bearer abc"])
    {'Authorization': 'Bearer abc'}
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            # The text may hold a secret: it is not repeated.
            refuse("--header", "must be 'NAME: VALUE'", None, "Write the name, a colon and the value, in quotes.")
        found[name.strip()] = value.strip()
    return found


def whole_number(option: str, text: str) -> int:
    """Which whole number is this?"""
    if not (text.strip().isascii() and text.strip().isdecimal()):
        refuse(option, "must be a whole number", repr(text), "Write for instance sequence_length=128.")
    return int(text)


def numbers(option: str, text: str | None) -> tuple[float, ...]:
    """Which numbers does a list such as ``10,20.5`` name?

    >>> numbers("--rate", "10,20.5")
    (10.0, 20.5)
    """
    if text is None:
        return ()
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        refuse(option, "must be numbers and commas", repr(text), "Write for instance 10,20,50.")


def seconds(option: str, text: str, *, zero: bool = False) -> float:
    """How many seconds is a time such as ``5s`` or ``250ms``? 0 only where ``zero`` allows it.

    >>> seconds("--min-time", "250ms")
    0.25
    """
    from pydantic_core import PydanticCustomError

    from calibration.units import duration_ns, positive_duration_ns

    try:
        return (duration_ns if zero else positive_duration_ns)(text) / 1e9
    except PydanticCustomError as error:
        context = error.context or {}
        refuse(option, str(context.get("rule", error)), repr(text), str(context.get("remedy", "")))
