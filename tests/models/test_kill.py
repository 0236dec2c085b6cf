"""SIGKILL at random steps of a real process: the run that goes on ends in the same release."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from models.release import WEIGHTS, read_config, verify
from tests.models.killed_run import run
from tests.models.test_training import RECIPE
from tests.models.test_training import world as world  # noqa: PLC0414


@pytest.fixture
def processes(world: Path) -> multiprocessing.context.ForkServerContext:
    """Children of a server that has imported torch already."""
    head, rest = RECIPE.split("[image]")
    recipe = (head + "[fusion]" + rest.split("[fusion]")[1]).replace("epochs = 1,", "epochs = 6,")
    (world / "text.toml").write_text(recipe.replace(', { name = "faces" }', ""))
    context = multiprocessing.get_context("forkserver")
    bert = "transformers.models.bert.modeling_bert"
    context.set_forkserver_preload(["models.training", "transformers.models.auto", bert])
    return context


def go(
    processes: multiprocessing.context.ForkServerContext,
    world: Path,
    out: str,
    kill_at: tuple[str, int] | None = None,
) -> list[tuple[str, int]]:
    """Run until the end, or until this step was said; the steps that were said, in order."""
    ours, theirs = processes.Pipe(duplex=False)
    child = processes.Process(target=run, args=(world, out, theirs), daemon=True)
    child.start()
    theirs.close()
    said: list[tuple[str, int]] = []
    while True:
        try:
            said.append(ours.recv())
        except EOFError:
            break
        if said[-1] == kill_at:
            child.kill()
    child.join()
    assert child.exitcode == (-9 if kill_at else 0)
    return said


@pytest.mark.timeout(1500)
def test_killed_again_and_again_a_run_ends_in_the_same_release(
    world: Path, processes: multiprocessing.context.ForkServerContext
) -> None:
    every = go(processes, world, "unbroken")[:-1]
    generator = np.random.default_rng(11)
    chosen = sorted(generator.choice(len(every) - 1, size=3, replace=False).tolist())
    for place in chosen:
        said = go(processes, world, "broken", kill_at=every[place])
        assert said[-1][0] != "done"
    rest = go(processes, world, "broken")
    assert rest[-1] == ("done", 0)
    assert len(rest) < len(every)  # it went on, and did not begin again
    one, other = world / "unbroken" / "release", world / "broken" / "release"
    assert read_config(one) == read_config(other)
    assert verify(other).modalities == ("text",)
    broken = load_file(other / WEIGHTS)
    for name, value in load_file(one / WEIGHTS).items():
        np.testing.assert_array_equal(value.numpy(), broken[name].numpy(), err_msg=name)
