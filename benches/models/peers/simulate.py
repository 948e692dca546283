"""Whole races drawn by NumPy, a thousand at a time: the model of
models/fantasy/src/simulate.rs and incident.rs."""
import json
import sys
import time

import numpy as np

RACE_SPREAD = 0.7
AT_ONCE = 1_000

case = json.load(sys.stdin)
laps, badness = case["laps"], np.array(case["badness"])
cars = len(badness)
odds = np.exp(-badness)
table = np.array(case["out"]).reshape(cars, cars)
pools = [[np.array(pool) for pool in kind] for kind in case["pools"]]
places = np.arange(cars)
parts = np.minimum(((places + 0.5) / cars * 8).astype(int), 7)


def by_rank(values):
    """What stands first, second, ... in each row, the greatest first."""
    return np.argsort(-values, axis=1)


def ranks(order):
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(places, order.shape), axis=1)
    return rank


def retirements(rng, order):
    """Who drops out, and the share of the distance, by place."""
    runs = len(order)
    mood = RACE_SPREAD * rng.standard_normal((runs, 1))
    out = rng.random((runs, cars)) < 1 / (1 + np.exp(-(table[order, places] + mood)))
    out[:, 0] = False
    share = np.ones((runs, cars))
    draw = rng.random((runs, cars))
    for place in range(1, cars):
        for kind in (0, 1):
            pool = pools[kind][parts[place]]
            rows = out[:, place] == bool(kind)
            if len(pool):
                share[rows, place] = pool[(draw[rows, place] * len(pool)).astype(int)]
    np.minimum.accumulate(share, axis=1, out=share)
    accident = rng.random((runs, cars)) < case["accidents"]
    return np.where(out, np.where(accident, 1, 2), 0), share


def shares(rng, scores, finish, extra):
    """Dirichlet shares around a softmax. Logarithms, since shapes near 0 give
    variates below the smallest number."""
    score = np.array(scores["fixed"]) + np.array(scores["by_finish"])[finish] + extra
    mean = np.exp(score - score.max(axis=1, keepdims=True))
    mean /= mean.sum(axis=1, keepdims=True)
    shape = np.maximum(scores["concentration"] * mean, 1e-9)
    log = np.log(rng.standard_gamma(shape + 1)) + np.log(rng.random(shape.shape)) / shape
    share = np.exp(log - log.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def split(share, total, completed, winner):
    """Whole laps by largest remainders; what is left over is the winner's."""
    exact = share * total[:, None]
    whole = np.minimum(np.floor(exact), completed)
    rest = np.where((whole < completed) & (exact > 0.05), exact - whole, -1.0)
    left = total - whole.sum(axis=1)
    more = (ranks(by_rank(rest)) < left[:, None]) & (rest >= 0)
    whole += more
    whole[np.arange(len(whole)), winner] += left - more.sum(axis=1)
    return whole


def draw(rng, runs):
    order = by_rank(rng.standard_exponential((runs, cars)) * odds)
    finish = ranks(order)
    ends, share = retirements(rng, order)
    back = lambda by_place: np.take_along_axis(by_place, finish, axis=1)
    ends, completed = back(ends), np.rint(back(share) * laps)
    winner = order[:, 0]
    total = np.full(runs, laps - 1.0)
    led = split(shares(rng, case["led"], finish, 0.0), total, completed, winner)
    led[np.arange(runs), winner] += 1
    green = np.clip(case["green"][0] + case["green"][1] * rng.standard_normal(runs), 0.3, 1.0)
    extra = case["fastest"]["led"] * np.sqrt(led / laps)
    fastest = split(shares(rng, case["fastest"], finish, extra), np.rint(green * laps), completed, winner)
    return finish + 1, led, fastest, ends


took = []
for run in range(case["runs"]):
    rng = np.random.default_rng(run)
    start = time.perf_counter()
    drawn = [draw(rng, min(AT_ONCE, case["races"] - n)) for n in range(0, case["races"], AT_ONCE)]
    took.append(time.perf_counter() - start)
finish, led, fastest, ends = (np.concatenate(column) for column in zip(*drawn))
print(json.dumps({
    "seconds": sorted(took)[len(took) // 2],
    "finish": finish.mean(axis=0).tolist(),
    "led": led.mean(axis=0).tolist(),
    "fastest": fastest.mean(axis=0).tolist(),
    "out": (ends != 0).mean(axis=0).tolist(),
}))
