"""The chat model against the original's numbers, with the golden tolerances."""

import pytest
import torch
from golden_case import GoldenCase
from golden_chat import chat_model
from torch import Tensor

from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.processors.inputs import ModelInputs
from kinema.processors.query_inputs import QueryInputs
from kinema.training.losses import NextToken


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/F_chat_bridge")


def chat_inputs(case: GoldenCase, model: InternVideo2Chat, name: str, views: Tensor) -> ModelInputs:
    """Of views, (items, V, T, 3, H, W), one item a row."""
    ids = case.inputs[f"{name}_chat.input_ids"]
    return ModelInputs(
        input_ids=ids,
        position_ids=torch.arange(ids.shape[1]).expand_as(ids),
        visual=QueryInputs(items=tuple(views), tokens_per_view=model.config.bridge.num_tokens),
        visual_mask=case.inputs[f"{name}_chat.visual_index"],
        labels=case.inputs[f"{name}_chat.labels"],
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", ["video", "image"])
def test_encoder_norm_and_bridge_equal_the_original(case, kind):
    model, pixels = chat_model(case), case.inputs[kind]
    tokens = model.vision_encoder(pixels)
    case.check(tokens, f"{kind}.vision_tokens")
    normed = model.vision_norm(tokens)
    case.check(normed, f"{kind}.vision_layernorm")
    case.check(model.connector(normed), f"{kind}.query_output")
    instruction = case.inputs["instruction_ids"], case.inputs["instruction_attention_mask"]
    case.check(model.connector(normed, *instruction), f"{kind}.query_output_with_instruction")
    case.check(model.look(pixels), f"{kind}.projected")


@torch.no_grad()
def test_a_video_in_a_prompt_gives_the_originals_logits_and_loss(case):
    model = chat_model(case)
    inputs = chat_inputs(case, model, "video", case.inputs["video"][:, None])
    case.check(model.embed(inputs), "video_chat.inputs_embeds")
    case.check(model(inputs), "video_chat.logits")
    case.check(NextToken()(model, inputs), "video_chat.loss")


@torch.no_grad()
def test_an_image_in_a_prompt_is_placed_as_in_the_original(case):
    model = chat_model(case)
    inputs = chat_inputs(case, model, "video", case.inputs["image"][:, None])
    case.check(model.embed(inputs), "image_chat.inputs_embeds")


def test_tiles_give_the_originals_logits_loss_and_gradients(case):
    model = chat_model(case)
    inputs = chat_inputs(case, model, "tile", case.inputs["tiles"])
    case.check(model.embed(inputs), "tile_chat.inputs_embeds")
    case.check(model(inputs), "tile_chat.logits")
    loss = NextToken()(model, inputs)
    case.check(loss, "tile_chat.loss")
    loss.backward()
    ours = {
        "query_tokens": model.connector.queries.grad[None],
        "extra_query_tokens": model.connector.extra_queries.grad[None],
        "project_up.weight": model.up_projection.weight.grad,
        "vision_layernorm.weight": model.vision_norm.weight.grad,
        "vision_encoder.pos_embed": model.vision_encoder.positions.video.grad[None],
        "qformer.bert.encoder.layer.1.output_query.dense.bias": model.connector.layers[
            1
        ].query_mlp.fc2.bias.grad,
        "qformer.bert.encoder.layer.0.crossattention.self.key.weight": (
            model.connector.layers[0].cross_attention.key_value.weight.grad.chunk(2)[0]
        ),
    }
    ours |= update_gradients(case, model)
    theirs = {name.removeprefix("tile_chat.grad.") for name in case.outputs if ".grad." in name}
    assert ours.keys() == theirs
    for name, gradient in ours.items():
        case.check(gradient, f"tile_chat.grad.{name}")


def update_gradients(case, model):
    """Of two factors of merged updates W + s B A: s B'(dW) and s (dW) A'."""
    scaling = case.config["lora"]["alpha"] / case.config["lora"]["r"]
    weights, names = case.weights(), "lm.base_model.model.{}.lora_{}.default.weight"
    query, head = "model.layers.0.self_attn.q_proj", "lm_head"
    up, down = weights[names.format(query, "B")], weights[names.format(head, "A")]
    of_query = model.language_model.layers[0].attention.qkv.weight.grad[: len(up)]
    return {
        names.format(query, "A"): scaling * up.T @ of_query,
        names.format(head, "B"): scaling * model.language_model.lm_head.weight.grad @ down.T,
    }


@torch.no_grad()
def test_merged_updates_equal_the_original(case):
    model = chat_model(case)
    qkv = model.language_model.layers[0].attention.qkv.weight
    query = qkv[: case.outputs["lora.q_proj_layer0_merged_weight"].shape[0]]
    case.check(query, "lora.q_proj_layer0_merged_weight")
    case.check(case.outputs["video_chat.inputs_embeds"] @ query.T, "lora.q_proj_layer0_on_inputs_embeds")


@torch.no_grad()
def test_the_likeliest_next_tokens_are_the_originals(case):
    model = chat_model(case)
    embeds = model.embed(chat_inputs(case, model, "video", case.inputs["video"][:, None]))[:1]
    real = case.inputs["video_chat.input_ids"].shape[1]
    expected = case.outputs["video_chat.greedy_tokens"][0].tolist()
    found = []
    for _ in expected:
        states = model.language_model(embeds, torch.arange(embeds.shape[1])[None])
        token = model.language_model.logits(states[:, -1]).argmax(-1)
        found.append(token.item())
        embeds = torch.cat([embeds, model.language_model.embed(token[None])], dim=1)
    assert embeds.shape[1] == real + len(expected)
    assert found == expected


@torch.no_grad()
def test_views_encoded_one_by_one_are_the_same(case):
    model = chat_model(case)
    visual = QueryInputs(items=tuple(case.inputs["tiles"]), tokens_per_view=model.config.bridge.num_tokens)
    together, apart = model.encode_visual(visual), model.encode_visual(visual, max_patches=1)
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=0)
