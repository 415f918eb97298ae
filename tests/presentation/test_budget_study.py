"""A demand alone: what the page asks is what the command line would, and its answer is the study's."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from calibration.console import Unwatched
from calibration.problems import InputError
from presentation import budget_study as look
from presentation.budget_study import Files, Options, StudyAnswer, asked_of, command, key_of, shipped_demand, studied


def table(hours: int = 24 * 60) -> bytes:
    """Two pools over some weeks: one steady, one by day."""
    rows = ["timestamp,pool,demand"]
    stamps = np.datetime64("2026-01-05T00") + np.arange(hours)
    for hour, stamp in enumerate(stamps):
        rows += [f"{stamp}:00:00Z,a,10", f"{stamp}:00:00Z,b,{8 if 8 <= hour % 24 < 20 else 2}"]
    return ("\n".join(rows) + "\n").encode()


TAGS = ("tags.csv", b"pool,team\na,search\nb,shop\n")


@lru_cache(maxsize=2)
def answer() -> StudyAnswer:
    """The study of it, in dollars."""
    files = Files(("demand.csv", table()), tags=TAGS)
    return studied(files, Options(price_ratio=0.6, on_demand_usd=2.0, futures=20), Unwatched())


def test_the_answer_promises_what_is_always_wanted() -> None:
    rows = {row["pool"]: row for row in look.purchase_rows(answer())}
    assert "10" == rows["a"]["units"]
    assert int(rows["b"]["units"]) <= 3
    assert look.verdict(answer()).startswith("Promise 1")
    labels = [card.label for card in look.cards(answer())]
    assert ["Expected cost", "Covered", "Used"] == labels[:3]


def test_rules_are_held_against_all_on_demand() -> None:
    shares = look.rule_shares(answer())
    assert 1.0 == shares["all on demand"]
    assert shares[look.CHOSEN] < 1.0


def test_who_pays_is_shown_where_tags_say_it() -> None:
    rows = look.share_rows(answer())
    assert {"search", "shop"} <= {row["who"] for row in rows}
    assert all(row["mean"].startswith("$") for row in rows)


def test_the_chart_shows_past_futures_and_promise() -> None:
    question = asked_of(Files(("demand.csv", table())), Options())
    assert ["past"] == [trace.name for trace in look.demand_chart(question, None).data]
    names = [trace.name for trace in look.demand_chart(question, answer()).data if trace.name]
    assert ["past", "8 of 10 futures", "middle", "promised"] == names
    assert "2 pools" in look.demand_alt(question, None)


def test_its_files_are_those_of_the_command_line() -> None:
    assert {"purchases.csv", "budget.csv", "commitments.json", "report.md"} < set(answer().files)
    assert '"schema_version": 1' in look.study_document(answer())
    assert "Expected to cost" in look.study_text(answer())


def test_the_shipped_demand_is_three_years_of_machines() -> None:
    question = asked_of(Files(shipped_demand()), Options())
    assert ("a_and_b", "others") == question.history.pools
    assert question.history.hours > 3 * 8_700


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        (Files(("d.csv", b"timestamp,demand\n2026-01-01,-1\n")), Options(), "must not be negative"),
        (Files(("d.csv", b"what,is,this\n")), Options(), "d.csv"),
        (Files(("d.csv", table(48))), Options(), "must hold four days"),
        (Files(("d.csv", table())), Options(price_ratio=None), "price"),
        (Files(("d.csv", table())), Options(timezone="Mars"), "Mars"),
        (Files(("d.csv", table())), Options(ladder="2y"), "--ladder: must be shorter than the longest term"),
        (Files(("d.csv", table()), tags=("t.csv", b"pool,team\nnone,x\n")), Options(), "t.csv"),
        (Files(("d.csv", b"\x1f\x8b")), Options(), "must not be compressed"),
        (Files(("../../d.csv", b"")), Options(), "d.csv"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_the_command_line(files: Files, options: Options, words: str) -> None:
    with pytest.raises(InputError) as caught:
        asked_of(files, options)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    assert words in told
    assert "headroom-" not in told


def test_a_study_is_told_from_others_by_all_it_depends_on() -> None:
    files = Files(("d.csv", b"x"))
    keys = {
        key_of(files, Options()),
        key_of(files, Options(price_ratio=0.5)),
        key_of(Files(("d.csv", b"y")), Options()),
    }
    assert 3 == len(keys)


def test_the_command_line_says_the_same() -> None:
    files = Files(("d.csv", b""), ("p.csv", b""), TAGS)
    assert "optimize commitments d.csv --price-ratio 0.7 --term 1y --tags tags.csv --output DIR" == command(
        files, Options()
    )
    listed = Options(price_ratio=None, plans=("cud_1y",), provider="gcp", pooled=True, risk="regret", futures=20)
    assert (
        "optimize commitments d.csv --prices p.csv --plan cud_1y --provider gcp --pooled --tags tags.csv --output DIR "
        "--risk regret --risk-weight 0.5 --scenarios 20"
    ) == command(files, listed)
