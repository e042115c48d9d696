"""The vision networks of the InternVideo2 golden cases: their sizes, and modules that hold their weights."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import KeyMap
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig

PATCH = 14


def vision_config(sizes: dict, **changes) -> InternVideo2VisionConfig:
    """Of the sizes of a case, which are named as in the original's code."""
    return InternVideo2VisionConfig(
        hidden_size=sizes["embed_dim"],
        intermediate_size=int(sizes["embed_dim"] * sizes["mlp_ratio"]),
        num_heads=sizes["num_heads"],
        **{
            "num_layers": sizes["depth"],
            "num_frames": sizes.get("num_frames", 1),
            "image_size": sizes.get("img_size", 224),
            "has_image_table": sizes.get("sep_image_video_pos_embed", False),
            **changes,
        },
    )


def loaded(module: nn.Module, keymap: KeyMap, weights: dict[str, Tensor]) -> nn.Module:
    """The module with these weights, every one of which its key map claims, in evaluation mode."""
    with TemporaryDirectory() as folder:
        save_file(weights, Path(folder) / "model.safetensors")
        keymap.load_into(module, open_checkpoint(Path(folder)), dtype=torch.float32)
    return module.eval()


def exported(module: nn.Module, keymap: KeyMap) -> dict[str, Tensor]:
    return dict(keymap.export(module.state_dict()))


def as_clips(video: Tensor) -> Tensor:
    """(B, C, T, H, W) of the original's towers to (B, T, C, H, W)."""
    return video.transpose(1, 2)
