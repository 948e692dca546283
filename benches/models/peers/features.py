"""Words and n-grams counted by scikit-learn, words by faststylometry."""
import json
import sys
import time

from faststylometry import Corpus
from faststylometry.burrows_delta import get_token_counts, get_top_tokens
from faststylometry.en import tokenise_remove_pronouns_en
from sklearn.feature_extraction.text import CountVectorizer

case = json.load(sys.stdin)
texts, most = case["texts"], case["most"]


def words():
    CountVectorizer(max_features=most).fit_transform(texts)


def grams():
    CountVectorizer(analyzer="char", ngram_range=(4, 4), max_features=most).fit_transform(texts)


def delta():
    corpus = Corpus()
    for number, text in enumerate(texts):
        corpus.add_book(str(number), str(number), text)
    corpus.tokenise(tokenise_remove_pronouns_en)
    get_top_tokens(corpus, most, set(), "")
    get_token_counts(corpus)


def median(run):
    took = []
    for _ in range(case["runs"]):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return sorted(took)[len(took) // 2]


print(json.dumps({"words": median(words), "grams": median(grams), "delta": median(delta)}))
