"""The encoder and what stands behind it against the original's numbers, with the golden tolerances."""

import pytest
import torch
from golden_case import GoldenCase
from golden_towers import PATCH, as_clips, exported, loaded, vision_config

from kinema.hub.keymap import KeyMap
from kinema.models.internvideo2.classifier import ClassifierConfig, InternVideo2Classifier
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.models.internvideo2.vision_keys import classifier_keymap, encoder_rules, student_keymap
from kinema.modules.vision.internvideo2 import InternVideo2Vision


def student_config(sizes: dict) -> StudentConfig:
    return StudentConfig(
        vision=vision_config(sizes),
        pooled_size=sizes["clip_embed_dim"],
        clip_layers=sizes["clip_return_layer"],
        clip_size=sizes["clip_teacher_embed_dim"],
        clip_pooled_size=sizes["clip_teacher_final_dim"],
        mae_layers=sizes.get("mae_return_layer", 0),
        mae_size=sizes.get("mae_teacher_embed_dim", 1),
    )


def student_of(case: GoldenCase) -> InternVideo2Student:
    student = InternVideo2Student(student_config(case.config))
    return loaded(student, student_keymap(PATCH), case.weights())


@torch.no_grad()
@pytest.mark.parametrize("name", ["A_vit_tower_separate_image_table", "A_vit_tower_shared_table"])
def test_the_stage_2_tower_equals_the_original(golden_dir, name):
    case = GoldenCase(golden_dir / "internvideo2" / name)
    student = student_of(case)
    for kind in ("video", "image"):
        pixels = as_clips(case.inputs[kind])
        for suffix, keep_mask in (("", None), ("_masked", ~case.inputs[f"{kind}_mask"])):
            tokens, pooled = student.vision_encoder(pixels, keep_mask)
            features = student(pixels, keep_mask)
            case.check(tokens, f"{kind}{suffix}.x_vis")
            case.check(pooled, f"{kind}{suffix}.pooled")
            case.check(features.clip, f"{kind}{suffix}.clip_feats")
            case.check(features.clip_pooled, f"{kind}{suffix}.clip_final")
            assert features.mae is None
        for layer in (-2, -3):
            state = student.vision_encoder.encoder.encode(pixels, layer=layer)
            case.check(state, f"{kind}.tokens_return_idx{layer}")


@torch.no_grad()
def test_the_stage_1_student_equals_the_original(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/A_vit_pretrain")
    student, pixels = student_of(case), as_clips(case.inputs["video"])
    mask = ~case.inputs["mask"]
    for name, keep_mask in (("masked", mask), ("all_visible", torch.ones_like(mask)), ("all_visible", None)):
        features = student(pixels, keep_mask)
        case.check(features.clip, f"{name}.clip_feats")
        case.check(features.clip_pooled, f"{name}.clip_final")
        case.check(features.mae, f"{name}.mae_feats")


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "form"),
    [("finetune", "plain"), ("attentive_probe", "residual_mlp"), ("linear_probe_cat", "frame_means")],
)
def test_classifiers_equal_the_original(golden_dir, name, form):
    case = GoldenCase(golden_dir / "internvideo2/A_vit_classifier_heads")
    sizes = case.config["vit"]
    config = ClassifierConfig(
        vision=vision_config(sizes),
        num_classes=sizes["num_classes"],
        form=form,
        pooled_size=sizes["clip_embed_dim"],
    )
    weights = case.weights("weights.finetune") | case.weights(f"weights.{name}")
    classifier = loaded(InternVideo2Classifier(config), classifier_keymap(PATCH), weights)
    case.check(classifier(as_clips(case.inputs["video"])), f"{name}.logits")
    assert exported(classifier, classifier_keymap(PATCH)).keys() == weights.keys()


@torch.no_grad()
def test_the_chat_models_encoder_whose_scales_have_other_names_equals_the_original(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/F_chat_bridge")
    sizes = case.config["vision"]
    config = vision_config(sizes, num_layers=sizes["depth"] - 1, has_image_table=True)
    part = {key: tensor for key, tensor in case.weights().items() if key.startswith("vision_encoder.")}
    rules = encoder_rules(PATCH, theirs="vision_encoder.", ours="", scales="raw")
    encoder = loaded(InternVideo2Vision(config), KeyMap("chat", rules), part)
    for kind in ("video", "image"):
        case.check(encoder(case.inputs[kind]), f"{kind}.vision_tokens")


@pytest.mark.parametrize(
    "name", ["A_vit_tower_separate_image_table", "A_vit_tower_shared_table", "A_vit_pretrain"]
)
def test_what_was_loaded_is_exported_bit_for_bit(golden_dir, name):
    case = GoldenCase(golden_dir / "internvideo2" / name)
    written, weights = exported(student_of(case), student_keymap(PATCH)), case.weights()
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[key], weights[key]) for key in weights)
