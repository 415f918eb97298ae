"""Two profiles side by side, for people: what makes them unequal first, then speed, memory, energy, outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calibration.compare import Comparison, Row, is_built_in, time_ms
from calibration.origin import subject, variant_of
from calibration.outputs import OutputDifference
from calibration.page import Heading, count, in_bytes, paragraph, per_cent, significant, table
from calibration.points import Point


def comparison_lines(comparison: Comparison) -> list[str]:
    """What does a person want to know of two profiles, in that order?"""
    lines = []
    for caution in comparison.cautions:
        lines += paragraph(caution, mark="! ")
    if lines:
        lines.append("")
    for letter, file in (("A", comparison.a), ("B", comparison.b)):
        lines += map(Heading, paragraph(f"{file.name}: {subject(file)}", mark=f"{letter}  "))
    if comparison.rows:
        lines += ["", *paragraph(verdict(comparison))]
        for letter, file in (("A", comparison.a), ("B", comparison.b)):
            if file.service_model is not None and file.service_model.warnings:
                told = len(file.service_model.warnings)
                warnings = f"{told} warning{'' if told == 1 else 's'}"
                lines += paragraph(f"{letter} was measured with {warnings}: calibrate show tells them.", mark="! ")
        lines += ["", *_speed(comparison.rows)]
        lines += _resources(comparison.rows)
    lines += ["", Heading("Outputs"), *_outputs(comparison)]
    return lines


def verdict(comparison: Comparison) -> str:
    """The answer in one sentence.

    >>> from calibration.compare import compare
    >>> from calibration.profile_file import ProfileFile
    >>> slow, fast = ({"batch": [1, 8], "latency_ms": ms} for ms in ([10.0, 24.0], [5.0, 16.0]))
    >>> files = [ProfileFile.model_validate({"schema": 1, "measurements": one}) for one in (slow, fast)]
    >>> verdict(compare(*files))
    'B is 1.50 to 2.00 times as fast as A. How much of that is noise is not known: a profile tells no scatter.'
    """
    rows = comparison.rows
    ratios = [row.speed_up for row in rows]
    ends = [significant(end) for end in (min(ratios), max(ratios))]
    between = ends[0] if ends[0] == ends[1] else " to ".join(ends)
    known = [row for row in rows if row.beyond_noise is not None]
    faster, slower = (
        [row for row in known if row.beyond_noise and (row.speed_up > 1) == is_faster] for is_faster in (True, False)
    )
    sentence = f"B is {between} times as fast as A"
    if not known:
        return f"{sentence}. How much of that is noise is not known: a profile tells no scatter."
    if not faster and not slower:
        return f"{sentence}: no difference beyond noise at {_of(len(known))}."
    parts = [f"{word} beyond noise at {len(found)} of {_of(len(known))}" for word, found in
             (("faster", faster), ("slower", slower)) if found]  # fmt: skip
    return f"{sentence}: {' and '.join(parts)}."


def _of(number: int) -> str:
    return f"{number} batch size{'' if number == 1 else 's'}"


def _speed(rows: tuple[Row, ...]) -> Iterator[str]:
    cells: list[tuple[str, ...]] = [
        ("batch", "A ms", "B ms", "speed-up", "95% interval", "beyond noise", "A items/s", "B items/s")
    ]
    for row in rows:
        words = {True: "yes", False: "no", None: "not known"}[row.beyond_noise]
        interval = "" if row.interval is None else " to ".join(map(significant, row.interval))
        each = [significant(1000 * row.batch / time_ms(point)) for point in (row.a, row.b)]
        times = [significant(time_ms(point)) for point in (row.a, row.b)]
        cells.append((f"{row.batch}", *times, significant(row.speed_up), interval, words, *each))
    yield from table(cells, "rrrrrlrr")


def _resources(rows: tuple[Row, ...]) -> Iterator[str]:
    """Tail, memory and energy, where both profiles tell them."""
    columns: tuple[tuple[str, Callable[[Point], float | None], Callable[[float], str]], ...] = (
        ("p99 ms", lambda point: point.p99_ms, significant),
        ("memory", lambda point: point.memory_bytes, in_bytes),
        ("J/item", lambda point: point.joules_per_item, significant),
    )
    told = [one for one in columns if any(one[1](row.a) is not None and one[1](row.b) is not None for row in rows)]
    if not told:
        return
    cells: list[tuple[str, ...]] = [
        ("batch", *(cell for name, *_ in told for cell in (f"A {name}", f"B {name}", "B/A")))
    ]
    cells += [
        (f"{row.batch}", *(cell for _, figure, written in told for cell in _pair(row, figure, written))) for row in rows
    ]
    yield ""
    yield from table(cells, "r" * len(cells[0]))


def _pair(row: Row, figure: Callable[[Point], float | None], written: Callable[[float], str]) -> tuple[str, str, str]:
    mine, theirs = figure(row.a), figure(row.b)
    shown = ["" if value is None else written(value) for value in (mine, theirs)]
    ratio = per_cent(theirs / mine) if mine and theirs is not None else ""
    return shown[0], shown[1], ratio


def _outputs(comparison: Comparison) -> Iterator[str]:
    found = comparison.outputs
    if found is None:
        yield from paragraph(comparison.outputs_note, mark="  ")
        return
    of = "" if found.values == found.values_of else f" of {found.values_of:,}"
    yield from paragraph(f"{count(found.items)} items, {found.values:,}{of} values each; {found.origin}", mark="  ")
    if found.items:
        yield from ("  " + line for line in table(_difference_rows(found), "lrl"))
    if found.broken:
        yield from paragraph(f"{_items(found.broken)} gave NaN or infinity, in A or B.", mark="! ")
    if found.top1_agreement is not None and found.top1_agreement < 1 and found.narrow:
        variant = variant_of(comparison.a)
        drawn = variant is not None and is_built_in(variant.model)
        random = "The weights of a built-in model are random, which makes margins small. " if drawn else ""
        text = (
            f"A decides {found.narrow} of {_items(found.items)} by less than twice the largest difference: those can "
            f"come out either way. {random}Top-1 agreement of a trained model on its own data says more."
        )
        yield from paragraph(text, mark="! ")


def _items(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"


def _difference_rows(found: OutputDifference) -> list[tuple[str, str, str]]:
    rows = [
        ("", "B less A", "seen against"),
        ("largest", significant(found.max_abs), _against(found.max_abs, found.largest, "the largest output of A")),
        ("mean", significant(found.mean_abs), _against(found.mean_abs, found.typical, "the mean output of A")),
    ]
    if found.top1_agreement is not None:
        agreeing = round(found.top1_agreement * found.items)
        rows.append(("top-1 agreement", per_cent(found.top1_agreement), f"{agreeing} of {found.items} items"))
    return rows


def _against(difference: float, scale: float, words: str) -> str:
    return f"{per_cent(difference / scale)} of {words}, {significant(scale)}" if scale else f"{words} is 0"
