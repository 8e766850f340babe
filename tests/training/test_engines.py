"""Engines are found by name, and their code counts where they are named."""

import importlib

import pytest

from tenfold.challenges import load_recipe
from tenfold.errors import RecipeError
from tenfold.stages.context import Context
from tenfold.store import Store
from tenfold.training.engines import backend_of, find_engine


@pytest.mark.parametrize("name", ["torch", "trees"])
def test_an_engine_is_its_backend(name):
    engine = find_engine(name)
    assert engine is importlib.import_module(f"tenfold.training.{name}_backend")
    assert callable(engine.fit)
    assert callable(engine.load)


@pytest.mark.parametrize("look", [find_engine, backend_of])
def test_an_engine_there_is_no_backend_of_is_refused(look):
    with pytest.raises(RecipeError) as error:
        look("jax")
    assert "no engine 'jax'; there are torch, trees, keras" in str(error.value)


def test_the_code_of_its_engines_is_part_of_a_key(tmp_path):
    context = Context(load_recipe("kelp", "smoke"), Store(tmp_path))

    def address(*engines):
        def work(workspace):
            (workspace.path / "made.txt").write_text("made")

        made = context.build("fit", "toy", {}, {}, ("scoring",), work, engines=engines)
        return made.address

    sets = [(), ("torch",), ("trees",), ("torch", "trees")]
    assert len({address(*engines) for engines in sets}) == len(sets)
    assert address("trees", "torch") == address("torch", "trees")
