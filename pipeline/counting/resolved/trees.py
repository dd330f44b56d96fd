"""Gradient-boosted trees as plain arrays: exported once after training, evaluated in numpy.

Pickles are neither safe to load nor stable between library versions; these arrays are both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """An ensemble of binary trees with one or more outputs."""

    feature: NDArray[np.int16]  # (nodes,) index of the feature compared; -1 in a leaf
    threshold: NDArray[np.float32]  # (nodes,) goes left when the feature is at most this; a leaf's value
    left: NDArray[np.int32]  # (nodes,) index of the left child
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]  # (nodes,) a missing feature goes left
    roots: NDArray[np.int32]  # (trees,) index of each root
    output: NDArray[np.int16]  # (trees,) the output that each tree adds to
    baseline: NDArray[np.float32]  # (outputs,)

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sums of leaves, shape (samples, outputs): log-odds, or values of a regression.

        Parameters
        ----------
        features : array of shape (samples, features), float32
            NaN is missing.
        """
        x = np.ascontiguousarray(features, dtype=np.float32)
        samples = np.arange(len(x))
        out = np.tile(self.baseline.astype(np.float64), (len(x), 1))
        for root, output in zip(self.roots, self.output, strict=True):
            node = np.full(len(x), root, dtype=np.int32)
            active = samples
            while len(active):
                here = node[active]
                feature = self.feature[here]
                inner = feature >= 0
                active, here, feature = active[inner], here[inner], feature[inner]
                if not len(active):
                    break
                value = x[active, feature]
                goes_left = np.where(np.isnan(value), self.missing_left[here], value <= self.threshold[here])
                node[active] = np.where(goes_left, self.left[here], self.right[here])
            out[:, output] += self.threshold[node]
        return out

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return class probabilities: (samples,) of the positive class, or (samples, classes)."""
        raw = self.raw(features)
        if raw.shape[1] == 1:
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(raw[:, 0], -30, 30))))
        e = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays under names that begin with `prefix`."""
        return {f"{prefix}_{name}": getattr(self, name) for name in self.__slots__}


def trees_from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Trees:
    """Rebuild an ensemble from `Trees.arrays`.

    Raises
    ------
    KeyError
        When an array is missing.
    """
    return Trees(**{name: arrays[f"{prefix}_{name}"] for name in Trees.__slots__})


def trees_from_sklearn(model: Any) -> Trees:
    """Export a fitted HistGradientBoosting classifier or regressor without categorical features."""
    feature, threshold, left, right, missing, roots, output = [], [], [], [], [], [], []
    start = 0
    for stage in model._predictors:
        for index, predictor in enumerate(stage):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            feature.append(np.where(leaf, -1, nodes["feature_idx"]).astype(np.int16))
            threshold.append(np.where(leaf, nodes["value"], nodes["num_threshold"]).astype(np.float32))
            left.append((nodes["left"].astype(np.int32) + start).astype(np.int32))
            right.append((nodes["right"].astype(np.int32) + start).astype(np.int32))
            missing.append(nodes["missing_go_to_left"].astype(bool))
            roots.append(start)
            output.append(index)
            start += len(nodes)
    return Trees(
        np.concatenate(feature),
        np.concatenate(threshold),
        np.concatenate(left),
        np.concatenate(right),
        np.concatenate(missing),
        np.array(roots, np.int32),
        np.array(output, np.int16),
        np.asarray(model._baseline_prediction, dtype=np.float32).ravel(),
    )
