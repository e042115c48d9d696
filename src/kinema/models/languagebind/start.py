"""A tower for a new modality that begins where the image tower stands, as LanguageBind's training does."""

import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig
from kinema.modules.vision.positions import resize_positions

_SPATIAL_TO_TEMPORAL = {"spatial.norm1.": "temporal.norm.", "spatial.attention.": "temporal.attention."}


def start_from_image(image: CLIPVision, config: CLIPVisionConfig, generator: torch.Generator) -> CLIPVision:
    """Build a tower and give it the weights of an image tower.

    Positions are resized to another grid. Temporal blocks start as copies of attention and first norm of
    their layer, and their frame embeddings are drawn with variance 1 / D (PKU-YuanGroup/LanguageBind).

    Args:
        image: a tower without temporal blocks.
        config: of the new tower; widths, layers and patches are those of ``image``.
        generator: draws the frame embeddings.

    Returns:
        A tower that shares no memory with ``image``, in its dtype and on its device.

    Raises:
        ConfigError: if the two towers differ in more than grid and frames.
    """
    weight = image.patch_embedding.weight
    tower = CLIPVision(config).to(device=weight.device, dtype=weight.dtype)
    state = {name: tensor.clone() for name, tensor in image.state_dict().items()}
    positions = "position_embedding.weight"
    state[positions] = resize_positions(state[positions], image.config.grid, config.grid)
    if config.has_frame_class_embeddings:
        state["class_embedding"] = state["class_embedding"].expand_as(tower.class_embedding)
    if config.num_frames is not None:
        state |= _temporal_copies(state)
        shape, deviation = (1, config.num_frames, config.hidden_size), config.hidden_size**-0.5
        for index in range(config.num_layers):
            drawn = torch.randn(shape, generator=generator) * deviation
            state[f"layers.{index}.temporal.embedding"] = drawn
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if shapes != {name: tensor.shape for name, tensor in tower.state_dict().items()}:
        raise ConfigError(
            "the new tower has other widths, layers or patches than the image tower it starts from."
        )
    tower.load_state_dict(state)
    return tower


def _temporal_copies(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace(spatial, temporal): tensor
        for name, tensor in state.items()
        for spatial, temporal in _SPATIAL_TO_TEMPORAL.items()
        if spatial in name
    }
