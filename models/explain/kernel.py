"""Shapley values of many players from few questions: KernelSHAP (Lundberg & Lee 2017).

Coalitions are drawn by the Shapley kernel, each with its complement (Covert & Lee 2021), and a
linear function that agrees with the worth of all and of none is fitted to what they are worth.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]  # (coalitions, players): who is in
FEWEST, PER_PLAYER = 100, 4  # coalitions
RIDGE = 1e-3


def kernel_shap(worth: Callable[[Masks], Floats], players: int, seed: int = 0) -> Floats:
    """Values `(players,)` that add up to the worth of all less the worth of none.

    `worth` gives one number a coalition. The same seed asks about the same coalitions.
    """
    if players == 0:
        return np.zeros(0)
    masks = coalitions(players, seed) if players > 1 else np.zeros((0, 1), dtype=bool)
    ends = np.array([[False] * players, [True] * players])
    answers = worth(np.concatenate([ends, masks]))
    none, every, rest = answers[0], answers[1], answers[2:]
    if players == 1:
        return np.array([every - none])
    count = len(masks)
    inside = masks.astype(float)
    moments = inside.T @ inside / count + RIDGE * np.eye(players)
    towards = inside.T @ (rest - none) / count
    free, even = np.linalg.solve(moments, np.stack([towards, np.ones(players)], axis=1)).T
    # Lagrange: the least change along `even` that makes the sum come out right.
    values: Floats = free - even * (free.sum() - (every - none)) / even.sum()
    return values


def coalitions(players: int, seed: int) -> Masks:
    """At least 100, and 4 a player; neither empty nor complete."""
    generator = np.random.default_rng(seed)
    pairs = max(FEWEST, PER_PLAYER * players) // 2
    sizes = np.arange(1, players)
    kernel = 1 / (sizes * (players - sizes))
    drawn = generator.choice(sizes, pairs, p=kernel / kernel.sum())  # (pairs,)
    ranks = generator.random((pairs, players)).argsort(axis=1)
    masks = ranks < drawn[:, None]
    return np.concatenate([masks, ~masks])
