"""How the benchmarks time: interleaved, and the least of many windows."""

import random
import time


def windows(ways, rounds):
    """Seconds of each way in each round, in which every way runs once.

    Other work on a machine only ever adds time: the least of many windows says what a
    way costs, and taking turns in random order lets all meet the same machine.

    Args:
        ways: dict of names to functions of no arguments.
        rounds: int >= 1.

    Returns:
        dict of names to lists of `rounds` floats.
    """
    order = random.Random(0)
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name in order.sample(list(ways), k=len(ways)):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds
