"""What every tower must beat: the majority class, and words counted under a linear model."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from models.classic.posts import Indices, Posts
from models.errors import ModelError
from models.preprocess.text import normalise
from models.preprocess.words import segment


def majority(learn: Posts, test: Posts) -> Indices:
    """The commonest class of the posts to learn from, for each post."""
    return np.full(len(test), np.bincount(learn.labels).argmax())


@dataclass(frozen=True, slots=True)
class LinearWords:
    """TF-IDF of words and pairs of words, under a logistic regression."""

    vectoriser: Any
    regression: Any

    @classmethod
    def learn(cls, posts: Posts) -> "LinearWords":
        """Raises ModelError where scikit-learn is not installed."""
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise ModelError(
                "the comparison needs scikit-learn: pip install scikit-learn"
            ) from error
        vectoriser = TfidfVectorizer(
            analyzer=_grams, min_df=2 if len(posts) > 200 else 1, sublinear_tf=True
        )
        regression = LogisticRegression(C=4.0, max_iter=1000, class_weight="balanced")
        regression.fit(vectoriser.fit_transform(_texts(posts)), posts.labels)
        return cls(vectoriser, regression)

    def predict(self, posts: Posts) -> Indices:
        """Class of each post, `(posts,)`; of one without text too, from no words."""
        found: Indices = self.regression.predict(self.vectoriser.transform(_texts(posts)))
        return found

    @property
    def parameters(self) -> int:
        """Weights of the regression."""
        return int(self.regression.coef_.size + self.regression.intercept_.size)


def _texts(posts: Posts) -> list[str]:
    return [normalise(text or "") for text in posts.texts]


def _grams(text: str) -> list[str]:
    words = segment(text)
    return words + [" ".join(pair) for pair in pairwise(words)]
