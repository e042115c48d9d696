"""Every recipe there is can be planned without data or weights; every twin can be run."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from kinema.recipes import registry
from kinema.recipes.carry_out import run_here
from kinema.recipes.plan import plan_run
from kinema.recipes.recipe import Request

PUBLISHED = [name for name in registry.recipe_names() if name != "finetune"]
"""``finetune`` learns from one's own data alone, and is planned in ``tests/cli/test_train.py``."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_is_planned_on_the_meta_device(name, tmp_path):
    recipe = registry.find_recipe(name)
    assert recipe.name == name
    request = Request()
    outline = recipe.outline(request).model
    assert {parameter.device.type for parameter in outline.parameters()} == {"meta"}
    plan = plan_run(recipe, request, recipe.stages(request), run_here(tmp_path, "cpu", 0, 42))
    assert {stage.name for stage in plan.stages} <= set(recipe.data)
    for stage in plan.stages:
        assert stage.num_steps > 0
        assert all(part.num_parameters > 0 for part in stage.parts)
        assert all(source.num_samples for source in stage.sources)
        assert sum(source.share for source in stage.sources) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["videollama3_2b", "video_llava_7b", "internvideo2_stage2_1b"])
def test_the_seed_of_a_run_says_in_which_order_samples_come(name):
    recipe = registry.find_recipe(name)
    seven, again, eight = (recipe.stages(Request(seed=seed))[0] for seed in (7, 7, 8))
    orders = [list(stage.order.batch(0, stage.batch_size)) for stage in (seven, again, eight)]
    assert orders[0] == orders[1] != orders[2]


def test_a_recipe_names_its_twin_but_for_those_of_media_that_no_twin_takes():
    twins = {name: registry.find_recipe(name).twin for name in registry.recipe_names()}
    alone = {name for name, twin in twins.items() if twin is None}
    assert alone == {f"languagebind_{modality}" for modality in ("audio", "depth", "thermal")}
    assert set(twins.values()) - {None} == registry.TWINS.keys() - {"nano_audio_captioner"}


@pytest.mark.parametrize("name", registry.TWINS)
def test_a_twin_is_a_module_to_be_run(name):
    spec = find_spec(f"kinema.recipes.{name}")
    assert spec is not None
    assert '__name__ == "__main__"' in Path(spec.origin).read_text(encoding="utf-8")
    assert registry.twin_command(name) == f"python -m kinema.recipes.{name} runs/{name}"


def test_every_nano_recipe_with_a_command_of_its_own_is_a_twin_or_measures_one():
    folder = Path(registry.__file__).parent
    runnable = {
        path.stem for path in folder.glob("nano*.py") if '__name__ == "__main__"' in path.read_text("utf-8")
    }
    assert runnable - set(registry.TWINS) <= {"nano_distant"}
