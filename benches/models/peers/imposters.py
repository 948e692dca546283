"""General imposters by NumPy: in each round half of the features and half of
the imposters."""
import json
import sys
import time

import numpy as np

case = json.load(sys.stdin)
own, imposters, asked = (np.array(case[name]) for name in ("own", "imposters", "asked"))


def distances(asked, rows):
    return 1 - rows @ asked / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))


def verify(rng):
    known = np.concatenate([own, imposters])
    mean, deviation = known.mean(axis=0), known.std(axis=0, ddof=1)
    a, b, c = ((x - mean) / deviation for x in (asked, own, imposters))
    width, won = len(asked), 0.0
    for _ in range(case["rounds"]):
        features = rng.choice(width, round(width * case["features"]), replace=False)
        some = rng.choice(len(c), round(len(c) * case["share"]), replace=False)
        ours = distances(a[features], b[:, features]).min()
        theirs = distances(a[features], c[np.ix_(some, features)]).min()
        won += 1.0 if ours < theirs else 0.0 if ours > theirs else 0.5
    return won / case["rounds"]


took = []
for run in range(case["runs"]):
    rng = np.random.default_rng(run)
    start = time.perf_counter()
    score = verify(rng)
    took.append(time.perf_counter() - start)
print(json.dumps({"seconds": sorted(took)[len(took) // 2], "score": score}))
