from dataclasses import replace

import torch
from torch import nn

from kinema.modules.sharing import share_equal_parameters
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig

WIDTH = 16


def towers() -> tuple[CLIPVision, CLIPVision]:
    """An image and a video tower that differ as LanguageBind's do."""
    config = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_layers=2, num_heads=2, image_size=(28, 28)
    )
    image = CLIPVision(config).eval()
    video = CLIPVision(replace(config, num_frames=2)).eval()
    video.load_state_dict(video.state_dict() | image.state_dict())
    with torch.no_grad():
        for parameter in (video.class_embedding, video.final_norm.weight, video.final_norm.bias):
            parameter += 1.0
    return image, video


def storages(module: nn.Module) -> dict[str, int]:
    return {name: tensor.untyped_storage().data_ptr() for name, tensor in module.state_dict().items()}


def stored_bytes(*modules: nn.Module) -> int:
    tensors = [tensor for module in modules for tensor in module.state_dict().values()]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def test_towers_that_differ_in_little_are_stored_once():
    image, video = towers()
    before = stored_bytes(image, video)
    freed = share_equal_parameters(image, video)
    own = {name for name, pointer in storages(video).items() if pointer not in storages(image).values()}
    temporal = {name for name in video.state_dict() if ".temporal." in name}
    assert own == {"class_embedding", "final_norm.weight", "final_norm.bias"} | temporal
    assert before - stored_bytes(image, video) == freed
    assert freed == stored_bytes(image) - 4 * 3 * WIDTH


def test_sharing_changes_no_number():
    image, video = towers()
    pixels = torch.randn(1, 2, 3, 28, 28)
    with torch.no_grad():
        before = image(pixels), video(pixels)
        share_equal_parameters(image, video)
        assert torch.equal(image(pixels), before[0])
        assert torch.equal(video(pixels), before[1])


def test_what_is_shared_stays_shared_in_another_dtype():
    both = nn.ModuleList(towers())
    share_equal_parameters(*both)
    both.to(torch.bfloat16)
    names = storages(both[0]).keys() - {"class_embedding", "final_norm.weight", "final_norm.bias"}
    assert all(storages(both[0])[name] == storages(both[1])[name] for name in names)


def test_equal_values_of_other_dtypes_are_not_shared():
    image, video = towers()
    assert share_equal_parameters(image, video.to(torch.bfloat16)) == 0


def test_what_is_shared_already_frees_nothing():
    image, video = towers()
    assert share_equal_parameters(image, video) > 0
    assert share_equal_parameters(image, video) == 0
