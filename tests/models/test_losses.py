import numpy as np
import torch

from models.corpora import Rows
from models.labels import EMOTIONS
from models.training.losses import masked_loss


def rows(emotions: list[float], polarity: list[float]) -> Rows:
    return Rows(
        ["x"],
        [None],
        [None],
        np.array([emotions], np.float32),
        np.array([polarity], np.float32),
        np.ones(1, np.float32),
        np.ones(1, np.float32),
        np.array(["c"]),
        [None],
        [()],
    )


NAN = float("nan")


def test_what_is_not_annotated_has_no_gradient() -> None:
    given = [1.0, NAN, 0.0, 0.0, NAN, 0.0, 0.0]
    emotions = torch.zeros(1, 7, requires_grad=True)
    polarity = torch.zeros(1, 3, requires_grad=True)
    loss = masked_loss(emotions, polarity, rows(given, [NAN] * 3), exclusive=1.0).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert emotions.grad is not None
    assert (emotions.grad[0] == 0).tolist() == [np.isnan(value) for value in given]
    assert polarity.grad is not None
    assert not polarity.grad.any()


def test_the_right_answer_costs_less() -> None:
    wanted = rows([0, 0, 0, 1.0, 0, 0, 0], [0, 0, 1.0])
    joy = torch.full((1, 7), -4.0)
    joy[0, EMOTIONS.index("joy")] = 4.0
    right = masked_loss(joy, torch.tensor([[-4.0, -4.0, 4.0]]), wanted)
    wrong = masked_loss(-joy, torch.tensor([[4.0, -4.0, -4.0]]), wanted)
    assert right.item() < 0.1 < wrong.item()
