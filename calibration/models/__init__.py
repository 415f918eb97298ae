"""Models that need no download, in PyTorch and in JAX: the shapes of well-known networks, weights from a seed.

:mod:`calibration.models.sizes` says which there are and how large; :mod:`~calibration.models.weights` which weights
they have, and draws them; :mod:`~calibration.models.batches` makes their inputs. Weights and inputs are drawn by NumPy,
so that every framework computes the same numbers and variants can be compared. ``torch_*`` and ``jax_*`` hold the
networks themselves. The time of an execution does not depend on the values, so random weights serve as well as
trained ones; accuracy on a task cannot be judged with them, the difference between two variants can.
"""
