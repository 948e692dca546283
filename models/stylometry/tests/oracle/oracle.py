"""Computes the figures of a style model with numpy and scikit-learn and prints
the largest difference from those that stand in the input."""
import json
import re
import sys

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_distances, euclidean_distances, manhattan_distances

data = json.load(sys.stdin)
known = [k["text"] for k in data["known"]]
authors = np.array([k["author"] for k in data["known"]])
names, words = data["features"], data["words"]
differences = {}


def differ(name, theirs, ours):
    worst = float(np.max(np.abs(np.asarray(theirs, float) - np.asarray(ours, float))))
    differences[name] = max(worst, differences.get(name, 0.0))


def frequencies(texts):
    lower = [re.sub(r"\s+", " ", t.lower()) for t in texts]
    token = CountVectorizer(token_pattern=r"[a-z]+(?:'[a-z]+)*", vocabulary=names[:words])
    grams = CountVectorizer(analyzer="char", ngram_range=(3, 3), vocabulary=[n.replace("·", " ") for n in names[words:]])
    totals = np.array([[len(re.findall(token.token_pattern, t))] for t in lower])
    long = np.array([[len(t) - 2] for t in lower])
    return np.hstack([token.transform(lower).toarray() / totals, grams.transform(lower).toarray() / long])


X, q = frequencies(known), frequencies([data["asked"]])
differ("frequencies", X, data["frequencies"])
differ("frequencies", q[0], data["asked_frequencies"])
ranks = X.sum(0)
assert (np.diff(ranks[:words]) < 1e-12).all() and (np.diff(ranks[words:]) < 1e-12).all()

# The published distances, to the mean of each author's z-scores.
mean, deviation = X.mean(0), X.std(0, ddof=1)
n = data["delta_words"]
Z, z = ((X - mean) / deviation)[:, :n], ((q - mean) / deviation)[:, :n]
for candidate in data["candidates"]:
    own = authors == candidate["author"]
    c, f = Z[own].mean(0, keepdims=True), X[own].mean(0)[:n]
    theirs = candidate["deltas"]
    differ("burrows", theirs["burrows"], manhattan_distances(z, c)[0, 0] / n)
    differ("cosine", theirs["cosine"], cosine_distances(z, c)[0, 0])
    differ("argamon", theirs["argamon"], euclidean_distances(z, c)[0, 0] / n)
    rank = np.arange(1, n + 1)
    differ("eder", theirs["eder"], (np.abs(z - c) * (n - rank + 2) / n).sum())
    both = np.vstack([q[0, :n], f])
    differ("min_max", theirs["min_max"], 1 - both.min(0).sum() / both.max(0).sum())

# Ridge responses in the space of directions.
share = np.array([1 / (authors == a).sum() for a in authors])
share /= share.sum()
centre = share @ X
spread = np.sqrt(share @ (X - centre) ** 2)


def directions(rows):
    z = np.clip((rows - centre) / spread, -data["most"], data["most"])
    blocks = [z[:, :words], z[:, words:]]
    return np.hstack([b / np.linalg.norm(b, axis=1, keepdims=True) for b in blocks]) / np.sqrt(2)


k = len(set(authors))
for candidate in data["candidates"]:
    target = np.where(authors == candidate["author"], 1.0, -1.0 / (k - 1))
    ridge = Ridge(alpha=data["ridge"], solver="cholesky").fit(directions(X), target)
    differ("responses", candidate["response"], ridge.predict(directions(q))[0])


class Draws:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def choose(self, bound, count):
        everything = list(range(bound))
        for i in range(count):
            other = i + (self.next() * (bound - i) >> 64)
            everything[i], everything[other] = everything[other], everything[i]
        return everything[:count]


# General imposters.
settings = data["verification"]
Z, z = (X - mean) / deviation, (q - mean) / deviation
draws, rounds = Draws(settings["seed"]), []
for _ in range(settings["rounds"]):
    chosen = draws.choose(len(names), round(len(names) * settings["features"]))
    order = draws.choose(len(X), len(X))
    rounds.append((cosine_distances(z[:, chosen], Z[:, chosen])[0], order))
for verified in data["verified"]:
    own = authors == verified["author"]
    count = int((~own).sum() * settings["imposters"] + 0.5)
    ahead = []
    for distances, order in rounds:
        imposters = [j for j in order if not own[j]][:count]
        ahead.append(min(distances[imposters]) - min(distances[own]))
    ahead = np.array(ahead)
    differ("imposters_score", verified["score"], np.mean(np.where(ahead > 0, 1.0, np.where(ahead < 0, 0.0, 0.5))))
    differ("imposters_advantage", verified["advantage"], ahead.mean())

# A few of the figures that describe a text.
tokens = re.findall(r"[a-z]+(?:'[a-z]+)*", data["asked"].lower())
counts = np.unique(tokens, return_counts=True)[1]
described = data["described"]
differ("described", described["yule_k"], 1e4 * ((counts**2).sum() - len(tokens)) / len(tokens) ** 2)
differ("described", described["hapax"], (counts == 1).sum() / len(tokens))
lengths = np.array([len(t) for t in tokens])
differ("described", described["word_length"], lengths.mean())
differ("described", described["word_length_deviation"], lengths.std())


def stretch(tokens):
    stretches, start, seen = 0.0, 0, set()
    for i, token in enumerate(tokens):
        seen.add(token)
        if len(seen) / (i + 1 - start) <= 0.72:
            stretches, start, seen = stretches + 1, i + 1, set()
    if start < len(tokens):
        stretches += (1 - len(seen) / (len(tokens) - start)) / (1 - 0.72)
    return len(tokens) / stretches


differ("described", described["mtld"], (stretch(tokens) + stretch(tokens[::-1])) / 2)
print(json.dumps(differences))
