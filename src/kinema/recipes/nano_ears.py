"""Nano BEATs that knows the sounds of the toybox: what is heard at each moment, and when that is.

BEATs learned from hidden patches of AudioSet. This stand-in for its published files names, for each of its
tokens, the sound in the middle of its time. For a captioner, which has to tell what came first, it names the
second as well: distances are all that the network knows of places.

B films, N tokens, D hidden size.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.modules.audio.beats import BEATs, BEATsConfig
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features
from kinema.processors.fbank import FRAME_STEP, SAMPLE_RATE
from kinema.recipes.nano_fit import Fit, fit
from kinema.toybox import Scene
from kinema.toybox.vocabulary import SOUNDS

SILENCE = len(SOUNDS)
"""Label of a moment at which nothing sounds."""

_WEIGHTS = {"what": 1.0, "when": 0.3}


class Films(Protocol):
    """Scenes that sound."""

    def scene(self, rng: np.random.Generator) -> Scene:
        """The next one."""
        ...


class SoundNaming(nn.Module):
    """Ears, and a head for each thing that they are asked about a token."""

    def __init__(self, config: BEATsConfig, sound: BEATsFeaturesConfig, *, tells_seconds: bool) -> None:
        """Make them, untrained.

        Args:
            config: sizes of the ears.
            sound: what they hear at a time.
            tells_seconds: whether they are asked when, besides what.
        """
        super().__init__()
        self.sound = sound
        self.ears = BEATs(config)
        self.heads = nn.ModuleDict({"what": nn.Linear(config.hidden_size, SILENCE + 1)})
        if tells_seconds:
            self.heads["when"] = nn.Linear(config.hidden_size, -(-sound.num_samples // SAMPLE_RATE))

    def loss(self, scenes: Sequence[Scene]) -> Tensor:
        """Cross-entropy of all answers."""
        states, labels = self._listen(scenes), self._labels(scenes)
        losses = [
            _WEIGHTS[name] * F.cross_entropy(head(states).float().flatten(0, 1), labels[name].flatten())
            for name, head in self.heads.items()
        ]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def share_named(self, scenes: Sequence[Scene]) -> float:
        """Share of tokens whose sound is named."""
        named = self.heads["what"](self._listen(scenes)).argmax(-1)
        return float((named == self._labels(scenes)["what"]).float().mean())

    def _listen(self, scenes: Sequence[Scene]) -> Tensor:
        """(B, N, D)."""
        sounds = [torch.from_numpy(scene.sound().data.T) for scene in scenes]
        hidden_states: Tensor = self.ears(torch.stack([beats_features(wave, self.sound) for wave in sounds]))
        return hidden_states

    def _labels(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """What is heard in the middle of a token's time, and which second that is; (B, N) each."""
        side = self.ears.config.patch_size
        num_bands = self.sound.num_mel_bins // side
        times_s = token_times_s(self.sound.num_frames // side, side)
        what = torch.tensor([heard_at(scene, times_s) for scene in scenes])
        when = torch.tensor(times_s).long().expand_as(what)
        return {
            name: labels.repeat_interleave(num_bands, 1) for name, labels in (("what", what), ("when", when))
        }


def train_nano_ears(
    naming: SoundNaming, films: Films, fit_config: Fit, *, batch_size: int, seed: int
) -> None:
    """Train ears and heads, in place.

    Args:
        naming: what learns.
        films: what it hears.
        fit_config: how long and how fast.
        batch_size: films a step.
        seed: of films.
    """

    def loss_of(step: int) -> Tensor:
        return naming.loss(draw_scenes(films, batch_size, np.random.default_rng([seed, step])))

    fit(naming, loss_of, fit_config)


def draw_scenes(films: Films, count: int, rng: np.random.Generator) -> list[Scene]:
    """The next scenes."""
    return [films.scene(rng) for _ in range(count)]


def heard_at(scene: Scene, times_s: list[float]) -> list[int]:
    """Which of ``SOUNDS`` is heard at each time, or ``SILENCE``."""
    return [
        next((SOUNDS.index(x.name) for x in scene.sounds if x.start_s <= time_s < x.end_s), SILENCE)
        for time_s in times_s
    ]


def token_times_s(num_times: int, patch_size: int) -> list[float]:
    """The middle of each column of patches."""
    return [(index + 0.5) * patch_size * FRAME_STEP / SAMPLE_RATE for index in range(num_times)]
