"""The towers against the original's numbers, with the golden tolerances."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from kinema.models.languagebind.checkpoint import load_vision_encoder, load_weights
from kinema.models.languagebind.model import LanguageBind

Cases = dict[str, Tensor]


def states_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


def similarities_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def cases(golden_dir):
    return lambda name: load_file(golden_dir / "video_llava" / f"languagebind_{name}.cases.safetensors")


def pixels_of(case: Cases) -> Tensor:
    """(B, T, C, H, W); the original has clips as (B, C, T, H, W), and no T for the rest."""
    pixels = case["pixel_values"].float()
    return pixels.transpose(1, 2) if pixels.ndim == 5 else pixels[:, None]


def check_embedding(model: LanguageBind, case: Cases) -> None:
    pooled = model.vision_encoder(pixels_of(case))
    states_close(pooled, case["pooler_output"])
    states_close(model.visual_projection(pooled), case["projected"])
    embedding = model.embed_pixels(pixels_of(case))
    states_close(embedding, case["embedding"])
    states_close(embedding * model.logit_scale.exp(), case["embedding_scaled"])


@torch.no_grad()
@pytest.mark.parametrize("name", ["video", "image", "audio"])
def test_every_hidden_state_and_the_embedding_equal_the_original(cases, checkpoint_of, name):
    model, case = load_weights(checkpoint_of(name)), cases(name)
    states = list(model.vision_encoder.hidden_states(pixels_of(case)))
    assert f"hidden_states.{len(states)}" not in case
    for index, state in enumerate(states):
        expected = case[f"hidden_states.{index}"]
        states_close(state.view_as(expected), expected)
    check_embedding(model, case)


@torch.no_grad()
def test_the_steps_inside_the_first_video_layer_equal_the_original(cases, checkpoint_of):
    tower, case = load_vision_encoder(checkpoint_of("video")), cases("video")
    states_close(tower.embed(pixels_of(case)), case["embeddings"])
    layer, hidden_states = tower.layers[0], case["hidden_states.0"]
    embedded = hidden_states + layer.temporal.embedding[:, :, None]
    states_close(embedded, case["layer0.after_temporal_embedding"])
    attended = layer.temporal(hidden_states)
    states_close(attended, case["layer0.after_temporal_attention"])
    frames = attended.flatten(0, 1)
    spatial = frames + layer.spatial.attention(layer.spatial.norm1(frames))
    states_close(spatial.view_as(attended), case["layer0.after_spatial_attention"])


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::kinema.errors.ModelWarning")
def test_a_single_frame_equals_the_original(cases, checkpoint_of):
    tower, case = load_vision_encoder(checkpoint_of("video")), cases("video")
    first_frame = pixels_of(case)[:, :1]
    for index, state in enumerate(tower.hidden_states(first_frame)):
        states_close(state, case[f"one_frame.hidden_states.{index}"])
    states_close(tower(first_frame), case["one_frame.pooler_output"])


@torch.no_grad()
def test_the_text_tower_equals_the_original(cases, checkpoint_of):
    model, case = load_weights(checkpoint_of("image")), cases("text")
    ids, mask = case["input_ids"], case["attention_mask"]
    for index, state in enumerate(model.text_encoder.hidden_states(ids, mask)):
        states_close(state, case[f"hidden_states.{index}"])
    states_close(model.text_encoder.encode(ids, mask), case["last_hidden_state"])
    states_close(model.text_encoder(ids, mask), case["pooler_output"])
    states_close(model.text_projection(model.text_encoder(ids, mask)), case["projected"])
    states_close(model.embed_text(ids, mask), case["embedding"])


@torch.no_grad()
def test_the_embedding_of_a_text_needs_no_mask(cases, checkpoint_of):
    model, case = load_weights(checkpoint_of("image")), cases("text")
    states_close(model.text_encoder.encode(case["input_ids"]), case["no_mask.last_hidden_state"])
    states_close(model.embed_text(case["input_ids"]), case["embedding"])


@torch.no_grad()
def test_logits_and_the_choice_among_texts_equal_the_original(cases, checkpoint_of):
    model, images, texts = load_weights(checkpoint_of("image")), cases("image"), cases("text")
    logits = model(pixels_of(images), texts["input_ids"], texts["attention_mask"])
    similarities_close(logits, texts["joint.logits_per_image"])
    similarities_close(logits.softmax(-1), texts["joint.probs_over_texts"])


@torch.no_grad()
def test_a_model_with_low_rank_updates_apart_equals_the_original(cases, checkpoint_of):
    model, updated = load_weights(checkpoint_of("video_lora")), cases("video_lora")
    case = cases("video")
    last = f"hidden_states.{len(model.vision_encoder.layers)}"
    states_close(model.vision_encoder.encode(pixels_of(case)), updated[last])
    states_close(model.vision_encoder(pixels_of(case)), updated["pooler_output"])
    states_close(model.embed_pixels(pixels_of(case)), updated["embedding"])


@pytest.mark.parametrize("name", ["video", "audio"])
def test_merged_weights_equal_those_the_original_merged(checkpoint_of, name):
    merged = load_vision_encoder(checkpoint_of(f"{name}_lora")).state_dict()
    for key, expected in load_vision_encoder(checkpoint_of(name)).state_dict().items():
        torch.testing.assert_close(merged[key], expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(
    "mistake", ["left out", "inside the branch", "spatial norm", "quick GELU", "tanh GELU"]
)
def test_the_cases_tell_the_usual_mistakes(cases, checkpoint_of, mistake):
    tower, case = load_vision_encoder(checkpoint_of("video")), cases("video")
    right = case[f"hidden_states.{len(tower.layers) - 1}"]
    for layer in tower.layers:
        if mistake == "left out":
            layer.temporal = None
        elif mistake == "inside the branch":
            layer.temporal.register_forward_hook(
                lambda block, _, output: output - block.embedding[:, :, None]
            )
        elif mistake == "spatial norm":
            layer.temporal.norm = layer.spatial.norm1
        else:
            activation = {"quick GELU": quick_gelu, "tanh GELU": tanh_gelu}[mistake]
            layer.spatial.mlp.activation = activation
    difference = (tower.encode(pixels_of(case), layer=-2) - right).abs().max()
    assert difference > 2e-4  # twice the tolerance


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def tanh_gelu(x: Tensor) -> Tensor:
    return torch.nn.functional.gelu(x, approximate="tanh")
