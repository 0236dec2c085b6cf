"""Processor time a post of several models, one post at a time, from bytes and strings on."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from models.classic.posts import Posts

Ask = Callable[[Posts], object]  # one post through a model, read and scored


def milliseconds(models: Mapping[str, Ask], posts: Posts) -> dict[str, float]:
    """Median CPU milliseconds of this process a post, by model.

    The models take turns on every post, so that what else the machine does hits all alike. The
    first post warms up and does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    for index in range(len(posts)):
        post = posts.take(np.array([index]))
        for name, ask in models.items():
            start = time.process_time()
            ask(post)
            times[name].append(time.process_time() - start)
    return {
        name: 1000 * float(np.median(taken[1:] if len(taken) > 1 else taken))
        for name, taken in times.items()
    }
