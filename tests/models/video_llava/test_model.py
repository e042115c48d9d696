from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.model import VideoLLaVA, select_tokens
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.clip import CLIPVisionConfig
from kinema.processors.inputs import VisualInputs
from kinema.processors.tower_inputs import TowerInputs, TowerItem

TOWER = CLIPVisionConfig(hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, image_size=(28, 28))
LANGUAGE = DecoderConfig(
    vocab_size=20,
    hidden_size=24,
    intermediate_size=32,
    num_layers=1,
    num_heads=2,
    num_kv_heads=2,
    head_dim=12,
    max_positions=64,
)
CONFIG = VideoLLaVAConfig(
    towers={Modality.IMAGE: TOWER, Modality.VIDEO: replace(TOWER, num_frames=4)}, language=LANGUAGE
)


@pytest.fixture(scope="module")
def model() -> VideoLLaVA:
    torch.manual_seed(0)
    model = VideoLLaVA(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def item(modality, num_frames, seed=0, **changes) -> TowerItem:
    pixels = torch.randn(num_frames, 3, 28, 28, generator=torch.Generator().manual_seed(seed))
    return TowerItem(modality=modality, pixel_values=pixels, grid=(2, 2), **changes)


@torch.inference_mode()
def encode(model, *items, **options):
    return model.encode_visual(TowerInputs(items=items), **options)


def test_items_of_both_kinds_come_back_in_their_order(model):
    image, video, other = item("image", 1), item("video", 4, 1), item("image", 1, 2)
    together = encode(model, image, video, other)
    alone = torch.cat([encode(model, one) for one in (image, video, other)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert together.shape == (4 + 16 + 4, 24)


def test_windows_are_encoded_on_their_own(model):
    long = item("video", 8)
    halves = [replace(long, pixel_values=part) for part in long.pixel_values.split(4)]
    torch.testing.assert_close(encode(model, long), torch.cat([encode(model, half) for half in halves]))
    torch.testing.assert_close(encode(model, long, max_patches=1), encode(model, long))


def test_the_order_of_frames_matters_to_the_video_tower_alone(model):
    for modality, differs in (("video", True), ("image", False)):
        forth = item(modality, 4)
        back = replace(forth, pixel_values=forth.pixel_values.flip(0))
        features = encode(model, forth).unflatten(0, (4, 4))
        turned = encode(model, back).unflatten(0, (4, 4)).flip(0)
        assert torch.allclose(features, turned, atol=1e-5) is not differs


def test_the_class_token_stands_before_the_patches_of_its_frame(model):
    whole, patches = item("video", 4, has_class_token=True), item("video", 4)
    features = encode(model, whole).unflatten(0, (4, 5))
    torch.testing.assert_close(features[:, 1:].flatten(0, 1), encode(model, patches))


def test_neighbouring_patches_are_averaged():
    hidden_states = torch.tensor([[[9.0], [1.0], [2.0], [3.0], [4.0]]])  # a class token and 2 x 2 patches
    merged = replace(item("image", 1), merge_size=2)
    assert select_tokens(hidden_states, merged).tolist() == [[2.5]]
    assert select_tokens(hidden_states, replace(merged, has_class_token=True)).tolist() == [[9.0], [2.5]]


def test_what_is_cut_off_has_no_feature(model):
    visual = TowerInputs(items=(item("image", 1), item("video", 4)))
    with torch.inference_mode():
        features = model.encode_visual(visual.first_tokens(6))
    torch.testing.assert_close(features, encode(model, *visual.items)[:6])


def test_inputs_of_another_model_are_refused(model):
    with pytest.raises(InputError, match="takes TowerInputs, got VisualInputs"):
        model.encode_visual(
            VisualInputs(
                pixel_values=torch.zeros(1, 588),
                grid_thw=torch.tensor([[1, 1, 1]]),
                merge_sizes=torch.tensor([1]),
            )
        )
    with pytest.raises(InputError, match="no tower for depth; it has towers for image, video"):
        encode(model, item("depth", 1))


def test_towers_of_one_width_are_needed_for_images_and_video():
    with pytest.raises(ConfigError, match="needs a tower for video"):
        VideoLLaVAConfig(towers={Modality.IMAGE: TOWER}, language=LANGUAGE)
    wide = replace(TOWER, hidden_size=32)
    dropping = replace(TOWER, patch_dropout=0.5)
    with pytest.raises(ConfigError, match="reads every patch"):
        VideoLLaVAConfig(towers=dict.fromkeys(CONFIG.towers, dropping), language=LANGUAGE)
    with pytest.raises(ConfigError, match="select_layer -4 is none of the 3 hidden states"):
        replace(CONFIG, select_layer=-4)
    with pytest.raises(ConfigError, match="need one width"):
        VideoLLaVAConfig(towers={Modality.IMAGE: TOWER, Modality.VIDEO: wide}, language=LANGUAGE)
