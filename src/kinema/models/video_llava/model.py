"""Video-LLaVA (arXiv 2311.10122): encode by modality, connect all alike, place, decode.

T frames, N tokens of a frame, M visual tokens, K of them kept, D hidden size.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.models.fused import FusedModel
from kinema.models.fusion import expect_visual
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.modules.connectors.mlp import MLPConnector
from kinema.modules.language.decoder import Decoder
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig
from kinema.processors.inputs import Visual
from kinema.processors.tower_inputs import TowerInputs, TowerItem


class VideoLLaVA(FusedModel):
    """A LanguageBind tower for each modality, a two-layer MLP that they share, Vicuna."""

    def __init__(self, config: VideoLLaVAConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = nn.ModuleDict(
            {modality.value: CLIPVision(tower) for modality, tower in config.towers.items()}
        )
        self.connector = MLPConnector(config.visual_size, config.language.hidden_size)
        self.language_model = Decoder(config.language)

    @property
    def vision_sizes(self) -> CLIPVisionConfig:
        """Widths of the towers, from which their memory is forecast."""
        return self.config.towers[Modality.IMAGE]

    def encode_visual(self, visual: Visual, *, max_patches: int | None = None) -> Tensor:
        """Features of the kept visual tokens, (K, D); a window of frames is never taken apart.

        Tokens are merged behind the tower and before the connector, which is as published: what it reads are
        features of patches, or means of them.
        """
        visual = expect_visual(visual, TowerInputs)
        features: list[Tensor] = [torch.empty(0)] * len(visual.items)
        for modality in dict.fromkeys(item.modality for item in visual.items):
            places = [place for place, item in enumerate(visual.items) if item.modality == modality]
            items = [visual.items[place] for place in places]
            encoded = self._encode_items(self._tower(modality), items, max_patches)
            for place, tokens in zip(places, encoded, strict=True):
                features[place] = tokens
        joined = torch.cat(features)  # (M, D_vision)
        return self.connector(joined if visual.keep_mask is None else joined[visual.keep_mask])

    def _tower(self, modality: str) -> CLIPVision:
        if modality not in self.vision_encoder:
            raise InputError(
                f"this model has no tower for {modality}; it has towers for {', '.join(self.vision_encoder)}."
            )
        tower = self.vision_encoder[modality]
        assert isinstance(tower, CLIPVision)
        return tower

    def _encode_items(
        self, tower: CLIPVision, items: Sequence[TowerItem], max_patches: int | None
    ) -> Iterator[Tensor]:
        """Tokens of each item, (T · N, D_vision), frame by frame."""
        window = tower.config.num_frames or 1
        windows = [part for item in items for part in item.pixel_values.split(window)]  # (T', 3, H, W) each
        encoded = iter(self._encode_windows(tower, windows, max_patches))
        for item in items:
            count = -(-len(item.pixel_values) // window)
            yield select_tokens(torch.cat([next(encoded) for _ in range(count)]), item)

    def _encode_windows(
        self, tower: CLIPVision, windows: Sequence[Tensor], max_patches: int | None
    ) -> Iterator[Tensor]:
        """Hidden states (T', N, D_vision) of each window; neighbours of one length are encoded together."""
        for batch in _batches(windows, tower.config, max_patches):
            yield from tower.encode(torch.stack(batch), layer=self.config.select_layer)


def select_tokens(hidden_states: Tensor, item: TowerItem) -> Tensor:
    """The tokens of an item that the connector reads.

    Args:
        hidden_states: (T, N, D), the class token first.
        item: says whether it is read and how many patches are averaged.

    Returns:
        (T · N', D).
    """
    patches = hidden_states[:, 1:]
    if item.merge_size > 1:
        picture = patches.transpose(1, 2).unflatten(2, item.grid)  # (T, D, rows, columns)
        patches = F.avg_pool2d(picture, item.merge_size).flatten(2).transpose(1, 2)
    tokens = torch.cat([hidden_states[:, :1], patches], dim=1) if item.has_class_token else patches
    return tokens.flatten(0, 1)


def _batches(
    windows: Sequence[Tensor], config: CLIPVisionConfig, max_patches: int | None
) -> Iterator[list[Tensor]]:
    """Neighbouring windows of one length, no more patches than allowed but one window at least."""
    rows, columns = config.grid
    batch: list[Tensor] = []
    for window in windows:
        too_many = max_patches is not None and (len(batch) + 1) * len(window) * rows * columns > max_patches
        if batch and (too_many or len(batch[0]) != len(window)):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
