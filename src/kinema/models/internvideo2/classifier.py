"""Action recognition on the encoder: fine-tuned, by attentive probing, or by linear probing.

InternVideo2, arXiv 2403.15377, 4.1; OpenGVLab/InternVideo ``internvideo2.py``, ``internvideo2_ap.py`` and
``internvideo2_cat.py``. What learns differs: all of it, all behind the encoder, or norm and head alone.

B clips, T frames, N tokens, K classes, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError
from kinema.modules.encoder import MLP
from kinema.modules.linear import Linear
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig

ClassifierForm = Literal["plain", "residual_mlp", "frame_means"]
"""What the head reads: the pooled vector; the same after an MLP with a residual, as SSv2's attentive probe;
or also the class token and the mean tokens of each frame, as SSv2's linear probe."""


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """A tower and a head."""

    vision: InternVideo2VisionConfig
    num_classes: int
    form: ClassifierForm = "plain"
    pooled_size: int = 768
    dropout: float = 0.0
    """Of what the head reads, in training."""

    def __post_init__(self) -> None:
        if self.num_classes < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(
                f"num_classes {self.num_classes} must be 1 or more, dropout {self.dropout} from 0 to below 1."
            )


class InternVideo2Classifier(nn.Module):
    """A tower, a norm and a linear head."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        width = config.pooled_size
        self.vision_encoder = InternVideo2Tower(config.vision, width)
        self.residual_mlp = ResidualMLP(width) if config.form == "residual_mlp" else None
        self.frame_reader = None
        num_vectors = 1
        if config.form == "frame_means":
            self.frame_reader = FrameReader(config.vision.hidden_size, width)
            num_vectors += 1 + config.vision.num_frames
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Linear(num_vectors * width, config.num_classes)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Logits, (B, K).

        Args:
            pixel_values: (B, T, 3, H, W), normalised. With ``frame_means``, T is that of the config.

        Raises:
            InputError: if the pixels have another form.
        """
        if self.frame_reader is not None and pixel_values.shape[1] != self.config.vision.num_frames:
            raise InputError(
                f"this head reads the means of {self.config.vision.num_frames} frames, got "
                f"{pixel_values.shape[1]}."
            )
        tokens, pooled = self.vision_encoder(pixel_values)
        if self.residual_mlp is not None:
            pooled = self.residual_mlp(pooled)
        vectors = self.norm(pooled)
        if self.frame_reader is not None:
            vectors = torch.cat([self.frame_reader(tokens, pixel_values.shape[1]), vectors], dim=-1)
        return self.head(self.dropout(vectors))


def start_classifier(
    tower: InternVideo2Tower, *, num_classes: int, form: ClassifierForm = "plain", dropout: float = 0.0
) -> InternVideo2Classifier:
    """A classifier on a trained tower, its head near zero and what it adds to the pooled vector at zero.

    Args:
        tower: of stage 1 or 2; it is not copied.
        num_classes: K.
        form: what the head reads.
        dropout: of what the head reads, in training.
    """
    config = ClassifierConfig(
        vision=tower.encoder.config,
        num_classes=num_classes,
        form=form,
        pooled_size=tower.pool.out.out_features,
        dropout=dropout,
    )
    with torch.device("meta"):
        classifier = InternVideo2Classifier(config)
    classifier.vision_encoder = tower
    for name, part in classifier.named_children():
        if name != "vision_encoder":
            part.to_empty(device=tower.pool.out.weight.device)
            part.apply(_start)
    nn.init.trunc_normal_(classifier.head.weight, std=2e-5)
    if classifier.residual_mlp is not None:
        nn.init.zeros_(classifier.residual_mlp.mlp.fc2.weight)
    return classifier


def keep_classes(classifier: InternVideo2Classifier, rows: Sequence[int]) -> InternVideo2Classifier:
    """The same classifier for some of its classes, such as the first 400 of the 710 of all Kinetics.

    Args:
        classifier: all but its head is shared with the result.
        rows: numbers of the classes, in the order they shall have.

    Raises:
        ConfigError: if there is no such class, or none is named.
    """
    num_classes = classifier.config.num_classes
    if not rows or not all(0 <= row < num_classes for row in rows):
        raise ConfigError(f"rows must name classes from 0 to {num_classes - 1}, got {list(rows)[:10]}.")
    with torch.device("meta"):
        kept = InternVideo2Classifier(replace(classifier.config, num_classes=len(rows)))
    head = {name: tensor[list(rows)] for name, tensor in classifier.head.state_dict().items()}
    for name, part in classifier.named_children():
        if name != "head":
            setattr(kept, name, part)
    kept.head.load_state_dict(head, assign=True)
    return kept.train(classifier.training)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()


class ResidualMLP(nn.Module):
    """A norm and an MLP, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width, "gelu")

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, P) -> (B, P)."""
        return pooled + self.mlp(self.norm(pooled))


class FrameReader(nn.Module):
    """The class token and the mean of each frame's tokens, each through one layer, side by side."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.down = Linear(hidden_size, width)
        self.activation = nn.GELU()
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, num_frames: int) -> Tensor:
        """(B, N, D) -> (B, (1 + T)·P)."""
        means = tokens[:, 1:].unflatten(1, (num_frames, -1)).mean(2)  # (B, T, D)
        vectors = torch.cat([tokens[:, :1], means], dim=1)
        return self.norm(self.activation(self.down(vectors))).flatten(1)
