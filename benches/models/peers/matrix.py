"""Cosine Delta of all pairs by NumPy and by scikit-learn."""
import json
import sys
import time

import numpy as np
from sklearn.metrics.pairwise import cosine_distances
from sklearn.preprocessing import StandardScaler

case = json.load(sys.stdin)
rows = np.array(case["rows"])


def numpy():
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    distances = 1 - z @ z.T
    np.fill_diagonal(distances, 0)
    return distances


def scikit():
    return cosine_distances(StandardScaler().fit_transform(rows))


def median(run):
    took = []
    for _ in range(case["runs"]):
        start = time.perf_counter()
        made = run()
        took.append(time.perf_counter() - start)
    return sorted(took)[len(took) // 2], made


seconds, distances = median(numpy)
places = np.arange(len(rows))
weights = (places[:, None] * 7 + places[None, :] * 3) % 11
print(json.dumps({"numpy": seconds, "scikit": median(scikit)[0], "sum": float((distances * weights).sum())}))
