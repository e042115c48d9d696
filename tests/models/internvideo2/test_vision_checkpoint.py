import json

import pytest
import torch
from golden_case import GoldenCase
from golden_towers import as_clips
from safetensors.torch import load_file, save_file

from kinema.errors import ConfigError, WeightsError
from kinema.models.internvideo2.classifier import keep_classes, start_classifier
from kinema.models.internvideo2.vision_checkpoint import (
    load_classifier,
    load_student,
    load_tower,
    load_videomae,
    save_vision,
)


@pytest.fixture(scope="module")
def pretrain(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/A_vit_pretrain")


@pytest.fixture(scope="module")
def separate(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/A_vit_tower_separate_image_table")


@pytest.fixture(scope="module")
def heads(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/A_vit_classifier_heads")


def sizes_of(config: dict) -> dict:
    """What no shape tells."""
    return {"image_size": config["img_size"], "num_heads": config["num_heads"]}


@pytest.fixture
def changed(pretrain, tmp_path):
    """A function that writes the student's file with other tensors, None for none."""

    def change(tensors):
        new = {key: tensor for key, tensor in (pretrain.weights() | tensors).items() if tensor is not None}
        save_file(new, tmp_path / "changed.safetensors")
        return tmp_path / "changed.safetensors"

    return change


@torch.no_grad()
def test_a_published_file_of_stage_1_loads_by_its_shapes(pretrain, tmp_path):
    torch.save({"module": pretrain.weights(), "epoch": 300}, tmp_path / "1B_pt.pth")
    student = load_student(tmp_path / "1B_pt.pth", **sizes_of(pretrain.config))
    features = student(as_clips(pretrain.inputs["video"]))
    pretrain.check(features.clip, "all_visible.clip_feats")
    pretrain.check(features.mae, "all_visible.mae_feats")


@pytest.mark.parametrize("name", ["pretrain", "separate"])
def test_a_student_is_saved_under_official_names_bit_for_bit_and_loads_again(request, name, tmp_path):
    case = request.getfixturevalue(name)
    student = load_student(case.folder / "weights.safetensors", **sizes_of(case.config))
    save_vision(student, tmp_path / "saved")
    written, weights = load_file(tmp_path / "saved/model.safetensors"), case.weights()
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[key], weights[key]) for key in weights)
    again = load_student(tmp_path / "saved")
    assert again.config == student.config
    assert not again.training


@torch.no_grad()
def test_a_classifier_is_saved_and_loads_again(heads, tmp_path):
    file = heads.folder / "weights.finetune.safetensors"
    classifier = load_classifier(file, **sizes_of(heads.config["vit"]))
    video = as_clips(heads.inputs["video"])
    heads.check(classifier(video), "finetune.logits")
    save_vision(classifier, tmp_path / "saved")
    assert load_file(tmp_path / "saved/model.safetensors").keys() == load_file(file).keys()
    again = load_classifier(tmp_path / "saved")
    assert again.config == classifier.config
    assert torch.equal(again(video), classifier(video))


@pytest.mark.parametrize("form", ["plain", "residual_mlp", "frame_means"])
def test_the_form_of_a_head_is_known_by_its_weights(heads, form, tmp_path):
    tower = load_tower(heads.folder / "weights.finetune.safetensors", **sizes_of(heads.config["vit"]))
    save_vision(start_classifier(tower, num_classes=3, form=form), tmp_path / "saved")
    (tmp_path / "saved/config.json").unlink()
    config = load_classifier(tmp_path / "saved", **sizes_of(heads.config["vit"])).config
    assert (config.form, config.num_classes) == (form, 3)


@torch.no_grad()
def test_a_tower_is_taken_out_of_the_files_of_every_stage(pretrain, separate, heads, golden_dir):
    stage2 = GoldenCase(golden_dir / "internvideo2/C_stage2_visual")
    files = [
        (pretrain.folder / "weights.safetensors", pretrain.config),
        (separate.folder / "weights.safetensors", separate.config),
        (heads.folder / "weights.finetune.safetensors", heads.config["vit"]),
        (stage2.folder / "weights.safetensors", stage2.config["vision"]),
    ]
    for file, config in files:
        tower = load_tower(file, **sizes_of(config))
        assert tower.encoder.config.num_frames == config["num_frames"]
    pooled = tower(stage2.inputs["video"]).pooled
    stage2.check(pooled, "video_pooled")


def test_a_tower_is_taken_out_of_the_folders_we_write(pretrain, heads, tmp_path):
    student = load_student(pretrain.folder / "weights.safetensors", **sizes_of(pretrain.config))
    file = heads.folder / "weights.finetune.safetensors"
    classifier = load_classifier(file, **sizes_of(heads.config["vit"]))
    for name, model in (("student", student), ("classifier", classifier)):
        save_vision(model, tmp_path / name)
        tower = load_tower(tmp_path / name)
        assert tower.encoder.config == model.config.vision
        expected = model.vision_encoder.state_dict()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in tower.state_dict().items())


@torch.no_grad()
def test_the_vision_part_of_stage_2_keeps_its_decoders(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_visual")
    sizes = case.config["vision"]
    student = load_student(case.folder / "weights.safetensors", **sizes_of(sizes))
    assert student.config.clip_layers == sizes["clip_return_layer"]
    case.check(student.vision_encoder(case.inputs["image"]).pooled, "image_pooled")


@torch.no_grad()
def test_both_modes_of_the_mae_teacher_load_from_one_file(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/B_stage1_losses")
    file, video = case.folder / "weights.mae_teacher.safetensors", as_clips(case.inputs["video"])
    heads = case.config["mae"]["num_heads"]
    one, other = (load_videomae(file, num_heads=heads, attention=a) for a in ("standard", "as_published"))
    assert (one(video) - other(video)).abs().max() > 1e-3


@torch.no_grad()
def test_longer_tables_are_saved_as_if_learned(pretrain, tmp_path):
    student = load_student(pretrain.folder / "weights.safetensors", **sizes_of(pretrain.config))
    longer = torch.randn(1, 5, 3, 56, 56)
    before = student(longer)
    student.resize_positions(num_frames=5, image_size=56)
    save_vision(student, tmp_path / "saved")
    again = load_student(tmp_path / "saved")
    assert again.config.vision.grid == (5, 4, 4)
    for one, other in zip(again(longer), before, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_a_new_head_starts_near_zero_on_the_tower_it_was_given(heads):
    tower = load_tower(heads.folder / "weights.finetune.safetensors", **sizes_of(heads.config["vit"]))
    classifier = start_classifier(tower, num_classes=5, form="residual_mlp")
    assert classifier.vision_encoder is tower
    logits = classifier(as_clips(heads.inputs["video"]))
    assert logits.shape[1] == 5
    assert logits.abs().max() < 1e-2
    pooled = tower(as_clips(heads.inputs["video"])).pooled
    assert torch.equal(classifier.residual_mlp(pooled), pooled)


@torch.no_grad()
def test_some_classes_of_a_classifier_are_kept_in_the_order_asked_for(heads):
    file = heads.folder / "weights.finetune.safetensors"
    classifier = load_classifier(file, **sizes_of(heads.config["vit"]))
    video = as_clips(heads.inputs["video"])
    kept = keep_classes(classifier, [3, 0])
    assert kept.config.num_classes == 2
    assert kept.vision_encoder is classifier.vision_encoder
    torch.testing.assert_close(kept(video), classifier(video)[:, [3, 0]])
    with pytest.raises(ConfigError, match="must name classes from 0"):
        keep_classes(classifier, [heads.config["vit"]["num_classes"]])


@pytest.mark.parametrize(
    "key",
    ["clip_projector.cross_attn.proj.weight", "blocks.1.ls1.gamma", "clip_decoder.1.norm.bias", "cls_token"],
)
def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(changed, pretrain, key):
    with pytest.raises(WeightsError, match=key):
        load_student(changed({key: None}), **sizes_of(pretrain.config))


@pytest.mark.parametrize("load", [load_student, load_tower])
def test_a_tensor_without_a_rule_is_refused_by_its_name(changed, pretrain, load):
    with pytest.raises(WeightsError, match=r"1 key without a rule: blocks\.0\.extra"):
        load(changed({"blocks.0.extra": torch.ones(1)}), **sizes_of(pretrain.config))


def test_weights_of_another_network_are_refused(golden_dir):
    with pytest.raises(WeightsError, match="not the weights that were asked for: there is no pos_embed"):
        load_tower(golden_dir / "internvideo2/D_beats_encoder/weights.safetensors")


def test_what_no_shape_tells_must_be_told(pretrain):
    file = pretrain.folder / "weights.safetensors"
    with pytest.raises(WeightsError, match="pass num_heads"):
        load_student(file, image_size=pretrain.config["img_size"])
    with pytest.raises(WeightsError, match="pass the image_size it was trained with"):
        load_student(file, num_heads=4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": 1}, "has no colour"),
        ({"clip_layers": 9}, "must be among"),
        ({"vision": {"depth": 1}}, "no depth"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(pretrain, tmp_path, change, named):
    student = load_student(pretrain.folder / "weights.safetensors", **sizes_of(pretrain.config))
    save_vision(student, tmp_path / "saved")
    content = json.loads((tmp_path / "saved/config.json").read_text())
    content["sizes"] |= change
    (tmp_path / "saved/config.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=named):
        load_student(tmp_path / "saved")
