"""Profiles on their page: points, curve and source; an imported file; two variants."""

from __future__ import annotations

import pytest

from calibration.catalogue import shipped
from tests.app.pages import figures, moved, opened
from tests.presentation.test_profiles import report


def test_the_page_opens_on_a_shipped_profile() -> None:
    app = opened("calibration")
    assert "13.8 ms" == figures(app)["Batch of 1"]
    assert any("Source: NVIDIA/DeepLearningExamples" in caption.value for caption in app.caption)
    assert [1, 8, 16] == list(app.dataframe[0].value["batch (items)"])


def test_every_shipped_profile_has_its_page() -> None:
    app = opened("calibration")
    for name in shipped():
        moved(app, "selectbox", "profile_a", name)
        assert not app.error, name
        assert app.markdown[0].value.startswith("#### "), name


def test_two_variants_are_compared() -> None:
    app = moved(opened("calibration"), "selectbox", "profile_b", "bert-large-triton-fp16-a100")
    assert "B is 3.94 to 7.46 times as fast as A" in app.markdown[0].value
    assert any("different devices" in warning.value for warning in app.warning)
    assert ["Table (CSV)", "Page (text)", "Charts (HTML)"] == [button.label for button in app.download_button]


def test_a_profile_without_curve_says_so() -> None:
    app = moved(opened("calibration"), "selectbox", "profile_a", "llama2-70b-fp16-h100x8")
    assert any("no batch curve" in info.value for info in app.info)
    moved(app, "selectbox", "profile_b", "bert-large-triton-fp16-a100")
    assert "There is no speed-up to tell" in app.markdown[0].value


def test_an_imported_file_is_fitted_and_shown() -> None:
    app = moved(opened("calibration"), "selectbox", "profile_a", "Import a file …")
    assert any("Drop its file" in info.value for info in app.info)
    files = [(f"b{batch}.csv", report(us), "text/csv") for batch, us in ((1, 5_000), (4, 8_000), (8, 13_000))]
    app.text_input(key="batches").set_value("1, 4, 8").run()
    app.text_input(key="device").set_value("T4").run()
    app.text_input(key="model").set_value("mine").run()
    app.file_uploader(key="measured").set_value(files).run()
    assert not app.exception
    assert not app.error
    assert any("Read as perf-analyzer" in success.value for success in app.success)
    assert app.markdown[0].value.startswith("#### mine")
    assert [1, 4, 8] == list(app.dataframe[0].value["batch (items)"])
    assert "Profile (JSON)" in [button.label for button in app.download_button]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("batches", "1, many", "must be whole numbers, got many"), ("batches", "1", "must be given once for each file")],
)
def test_a_wrong_option_is_refused_in_place(key: str, value: str, words: str) -> None:
    app = moved(opened("calibration"), "selectbox", "profile_a", "Import a file …")
    app.text_input(key=key).set_value(value).run()
    files = [(f"b{batch}.csv", report(5_000 * batch), "text/csv") for batch in (1, 4)]
    app.file_uploader(key="measured").set_value(files).run()
    assert not app.exception
    assert words in app.error[0].value


def test_a_file_of_another_tool_is_refused_with_its_name() -> None:
    app = moved(opened("calibration"), "selectbox", "profile_a", "Import a file …")
    app.selectbox(key="tool").set_value("locust").run()
    app.file_uploader(key="measured").set_value([("b1.csv", report(5_000), "text/csv")]).run()
    assert "b1.csv: does not look like a file of locust" in app.error[0].value
