"""The shipped release, loaded once."""

import pytest

from models.predictor import Predictor
from models.prepare import Preparer
from models.release import DEFAULT_RELEASE


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return Predictor.load(DEFAULT_RELEASE, "cpu")


@pytest.fixture(scope="session")
def preparer() -> Preparer:
    return Preparer.load(DEFAULT_RELEASE)
