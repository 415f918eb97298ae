"""The built-in models: their shapes, weights and inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.models.batches import items, kv_cache
from calibration.models.sizes import BUILT_IN, sizes_of
from calibration.models.weights import draw, parameters, weights_of
from calibration.problems import InputError
from tests.calibration.backends.tiny import TINY


def test_bert_has_the_parameters_of_bert_base() -> None:
    """109,482,240 in the encoder with its pooler (bert-base-uncased; "110M": Devlin et al., 2019, section 3).

    The classifier of two classes adds 2 x 768 + 2.
    """
    assert 109_482_240 + 2 * 768 + 2 == parameters("bert-base", BUILT_IN["bert-base"])


def test_resnet_has_the_parameters_of_resnet_50() -> None:
    """25,557,032: torchvision's documentation of resnet50; "25.5 x 10^6" in the table of Xie et al. (2017)."""
    assert 25_557_032 == parameters("resnet50", BUILT_IN["resnet50"])


def test_decoder_has_the_parameters_of_its_formula() -> None:
    """Two embeddings, and in each layer: query and mix, key and value (narrower), three of SwiGLU, two norms."""
    hidden, layers, ffn, vocab, narrow = 768, 12, 2048, 32_000, 768 // 12 * 4
    layer = 2 * hidden * hidden + 2 * hidden * narrow + 3 * hidden * ffn + 2 * hidden
    expected = 2 * vocab * hidden + layers * layer + hidden
    assert expected == parameters("decoder-prefill", BUILT_IN["decoder-prefill"])
    assert expected == parameters("decoder-decode", BUILT_IN["decoder-decode"])


@pytest.mark.parametrize("model", BUILT_IN)
def test_weights_are_those_of_the_seed(model: str) -> None:
    weights = weights_of(model, sizes_of(model, TINY[model]))
    first, again, other = draw(weights, 1), draw(weights, 1), draw(weights, 2)
    assert all(np.array_equal(first[name], again[name]) for name in weights)
    assert any(not np.array_equal(first[name], other[name]) for name in weights)
    assert {name: weight.shape for name, weight in weights.items()} == {k: v.shape for k, v in first.items()}


@given(seed=st.integers(0, 5), small=st.integers(1, 4), more=st.integers(1, 4), model=st.sampled_from(sorted(BUILT_IN)))
def test_a_larger_batch_begins_with_the_smaller_one(seed: int, small: int, more: int, model: str) -> None:
    sizes = sizes_of(model, TINY[model])
    few, many = (items(model, sizes, seed, batch) for batch in (small, small + more))
    assert all(np.array_equal(a, b) for one, other in zip(few, many, strict=False) for a, b in zip(one, other))  # noqa: B905
    caches = zip(kv_cache(model, sizes, seed, small), kv_cache(model, sizes, seed, small + more), strict=True)
    assert all(np.array_equal(few, many[:small]) for few, many in caches)


def test_items_differ_from_one_another() -> None:
    first, second = items("resnet50", sizes_of("resnet50", TINY["resnet50"]), 0, 2)
    assert not np.array_equal(first[0], second[0])


def test_a_cache_has_room_for_the_tokens_of_the_step() -> None:
    decode = kv_cache("decoder-decode", sizes_of("decoder-decode", TINY["decoder-decode"]), 0, 3)
    assert [(3, 2, 7, 8)] * 4 == [array.shape for array in decode]
    assert all(array[:, :, :6].all() and not array[:, :, 6:].any() for array in decode)
    prefill = kv_cache("decoder-prefill", sizes_of("decoder-prefill", TINY["decoder-prefill"]), 0, 3)
    assert [(3, 2, 5, 8)] * 4 == [array.shape for array in prefill]
    assert () == kv_cache("bert-base", sizes_of("bert-base"), 0, 3)


@pytest.mark.parametrize(
    ("model", "sizes", "said"),
    [
        ("bert-bas", {}, "Did you mean 'bert-base'?"),
        ("bert-base", {"sequence_lenght": 8}, "Did you mean 'sequence_length'?"),
        ("bert-base", {"layers": 0}, "must be a whole number from 1"),
        ("bert-base", {"heads": 7}, "--size hidden: must be a multiple of heads (7)"),
        ("bert-base", {"sequence_length": 513}, "must not exceed positions (512)"),
        ("decoder-decode", {"kv_heads": 5}, "--size heads: must be a multiple of kv_heads (5)"),
        ("decoder-decode", {"hidden": 36}, "even multiple of heads"),
        ("resnet50", {"image_size": 16}, "must be at least 32"),
    ],
)
def test_sizes_that_no_model_has_are_refused(model: str, sizes: dict[str, int], said: str) -> None:
    with pytest.raises(InputError) as caught:
        sizes_of(model, sizes)
    assert said in str(caught.value)


def test_every_unknown_size_is_named_at_once_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        sizes_of("resnet50", {"depth": 3, "height": 4})
    assert ["--size depth", "--size height"] == [problem.path for problem in caught.value.problems]
    assert "image_size, width, classes" in str(caught.value)
