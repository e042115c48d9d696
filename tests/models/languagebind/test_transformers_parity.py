"""transformers' CLIP with exact GELU and ours are the same model, in each other's files."""

import pytest
import torch
from safetensors.torch import save_file

from kinema.hub.files import open_checkpoint
from kinema.models.languagebind.config_json import parse_config
from kinema.models.languagebind.keys import model_keymap
from kinema.models.languagebind.model import LanguageBind

transformers = pytest.importorskip("transformers")


def tower(activation: str) -> dict:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_act": activation,
    }


@pytest.fixture(scope="module", params=["gelu", "quick_gelu"])
def pair(request, tmp_path_factory):
    """Theirs with random weights, ours with the same."""
    vision = {**tower(request.param), "image_size": 28, "patch_size": 7}
    text = {**tower(request.param), "vocab_size": 50, "max_position_embeddings": 12, "eos_token_id": 49}
    config = {"projection_dim": 24, "vision_config": vision, "text_config": text}
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    path = tmp_path_factory.mktemp("clip") / "model.safetensors"
    save_file({key: tensor.clone() for key, tensor in theirs.state_dict().items()}, path)
    ours = LanguageBind(parse_config({**config, "model_type": "LanguageBindImage"})).eval()
    model_keymap(ours.config).load_into(ours, open_checkpoint(path))
    return theirs, ours


@torch.no_grad()
def test_hidden_states_and_logits_are_the_same(pair):
    theirs, ours = pair
    pixels = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[48, 5, 6, 49, 49], [48, 7, 49, 49, 49]])
    expected = theirs(pixel_values=pixels, input_ids=ids)
    states = theirs.vision_model(pixels, output_hidden_states=True).hidden_states
    for state, same in zip(ours.vision_encoder.hidden_states(pixels[:, None]), states, strict=True):
        torch.testing.assert_close(state[:, 0], same, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours(pixels[:, None], ids), expected.logits_per_image, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.embed_text(ids), expected.text_embeds, atol=1e-5, rtol=0)
