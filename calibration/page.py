"""A page of text for people: numbers with sensible digits, columns that line up, headings that stand out on a terminal.

A page is a list of lines; a :class:`Heading` among them is bold on a terminal and plain everywhere else.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import IO, Final

WIDTH: Final = 100
"""Columns of a line of prose: wider ones are no easier to read."""

BAR: Final = 16
"""Columns of the longest bar in a table."""

LEAST_TEXT: Final = 10
"""Columns that a text in a table keeps when the table is too wide."""


class Heading(str):
    """A line that heads a part of the page."""

    __slots__ = ()


def significant(value: float, digits: int = 3) -> str:
    """Which digits of a number say something? The first three, and never fewer than stand before the point.

    >>> [significant(x) for x in (0.012345, 1.0, 12.345, 9.996, 12345.6, 0.0, 2.5e-7)]
    ['0.0123', '1.00', '12.3', '10.0', '12,346', '0', '2.50e-07']
    """
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else "inf"
    # Through the rounded value: 9.996 has four digits before rounding decides that it is 10.0.
    exponent = int(f"{abs(value):.{digits - 1}e}".rsplit("e", 1)[1])
    if exponent < -4:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def count(number: float) -> str:
    """A whole number as it is, a mean of whole numbers to three digits.

    >>> count(16.0), count(12_000), count(3.14159)
    ('16', '12,000', '3.14')
    """
    return f"{number:,.0f}" if float(number).is_integer() else significant(number)


def per_cent(share: float, *, signed: bool = False) -> str:
    """A share of 1 in per cent, to a tenth below ten.

    >>> per_cent(0.123), per_cent(0.0123), per_cent(0.02, signed=True), per_cent(-0.4, signed=True), per_cent(0.0004)
    ('12%', '1.2%', '+2.0%', '-40%', '<0.1%')
    """
    if 0 < abs(share) < 0.0005 and not signed:
        return "<0.1%"
    text = f"{100 * share:{'+' if signed else ''}.{0 if round(abs(share), 4) >= 0.1 else 1}f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text


def in_bytes(size: float) -> str:
    """A size of memory in the unit a person would say it in.

    >>> in_bytes(512), in_bytes(440e6), in_bytes(24 * 2**30)
    ('512 B', '420 MiB', '24.0 GiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{significant(size)} {unit}"
        size /= 1024
    return f"{significant(size)} GiB"


def table(rows: Sequence[Sequence[str]], align: str, *, gap: str = "  ", width: int = 0) -> list[str]:
    """Lay rows out in columns: ``align`` has an ``l`` or an ``r`` for each; the first row heads them.

    With a ``width``, what is wider goes on in the next line: the longest texts on the left are broken.

    >>> for line in table([("batch", "ms", ""), ("1", "5.20", "x"), ("16", "40.1", "xx")], "rrl"):
    ...     print(line)
    batch    ms
        1  5.20  x
       16  40.1  xx
    >>> table([("plan", "used"), ("reserved_1y_no_upfront", "97%")], "lr", width=20)
    ['plan          used', 'reserved_1y_   97%', 'no_upfront']
    """
    laid_out: list[tuple[tuple[str, ...], ...]] = [tuple((cell,) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    over = sum(widths) + len(gap) * (len(widths) - 1) - width if width else 0
    texts = sorted((place for place, side in enumerate(align) if side == "l"), key=lambda place: -widths[place])
    for place in texts:
        if over <= 0:
            break
        most = max(LEAST_TEXT, widths[place] - over)
        laid_out = [(*row[:place], _broken(row[place][0], most), *row[place + 1 :]) for row in laid_out]
        narrower = max(len(piece) for row in laid_out for piece in row[place])
        over -= widths[place] - narrower
        widths[place] = narrower
    lines = []
    for index, row in enumerate(laid_out):
        for cells in zip_longest(*row, fillvalue=""):
            sides = zip(cells, widths, align, strict=True)
            padded = (cell.rjust(most) if side == "r" else cell.ljust(most) for cell, most, side in sides)
            line = gap.join(padded).rstrip()
            lines.append(Heading(line) if index == 0 else line)
    return lines


def _broken(text: str, width: int) -> tuple[str, ...]:
    """A text in lines: after a space, hyphen, underscore or slash where there is one."""
    lines = [""]
    for word in re.split(r"(?<=[ _/-])", text):
        if len((lines[-1] + word).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return tuple(line.rstrip() for line in lines)


def paragraph(text: str, *, mark: str = "", width: int = WIDTH) -> list[str]:
    """Break prose into lines, indented under its mark.

    >>> paragraph("one two three four", mark="! ", width=12)
    ['! one two', '  three four']
    """
    return textwrap.wrap(
        " ".join(text.split()),
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
        break_long_words=False,  # an address stays in one piece
    )


def bar(share: float, *, unicode: bool = True, width: int = BAR) -> str:
    """A share of 1 as a bar; the smallest share still shows.

    >>> bar(0.5, width=8), bar(0.001, width=8, unicode=False), bar(0, width=8)
    ('████', '.', '')
    """
    if share <= 0:
        return ""
    return ("█" if unicode else "#") * round(width * min(share, 1)) or ("·" if unicode else ".")


def says_unicode(file: IO[str]) -> bool:
    """Can this stream write blocks and braille? A StringIO has no encoding and takes everything."""
    try:
        "█●⣿·".encode(getattr(file, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_page(lines: Iterable[str], file: IO[str]) -> None:
    """Write a page: headings in bold on a terminal (unless NO_COLOR is set), plain text everywhere else."""
    if not file.isatty():
        file.write("".join(f"{line}\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, emoji=False, markup=False)
    for line in lines:
        style = "bold cyan" if isinstance(line, Heading) else ""
        console.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)
