from math import log

import pytest
import torch

from kinema.errors import InputError
from kinema.models.languagebind.config import LanguageBindConfig, Modality
from kinema.models.languagebind.model import LanguageBind
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2}
END = 29


@pytest.fixture(scope="module")
def model() -> LanguageBind:
    torch.manual_seed(0)
    config = LanguageBindConfig(
        modality=Modality.VIDEO,
        vision=CLIPVisionConfig(**SIZES, image_size=(8, 8), patch_size=4, num_frames=4),
        text=CLIPTextConfig(**SIZES, vocab_size=30, max_positions=8),
        projection_size=12,
    )
    return LanguageBind(config).eval()


CLIPS = torch.randn(3, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TEXTS = torch.tensor([[28, 3, END, END], [28, 4, 5, END]])


@torch.no_grad()
def test_embeddings_are_unit_vectors_of_one_space(model):
    clips, texts = model.embed_pixels(CLIPS), model.embed_text(TEXTS)
    assert clips.shape == (3, 12)
    assert texts.shape == (2, 12)
    torch.testing.assert_close(clips.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(texts.norm(dim=-1), torch.ones(2))


@torch.no_grad()
def test_logits_are_cosines_over_the_temperature(model):
    assert model.logit_scale.item() == pytest.approx(log(1 / 0.07))
    unit = torch.eye(12)
    logits = model.logits(unit[:2], unit[[1, 1, 2]])
    torch.testing.assert_close(logits, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]) / 0.07)
    one_by_one = [model.logits(model.embed_pixels(clip[None]), model.embed_text(TEXTS)) for clip in CLIPS]
    torch.testing.assert_close(model(CLIPS, TEXTS), torch.cat(one_by_one), atol=1e-5, rtol=0)


def test_the_tower_sees_what_its_config_says(model):
    with pytest.raises(InputError, match=r"\(clips, frames, 3, 8, 8\)"):
        model.embed_pixels(torch.zeros(1, 4, 3, 9, 8))


def test_a_gradient_reaches_every_parameter(model):
    model(CLIPS, TEXTS).diagonal().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
