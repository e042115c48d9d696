"""Nano BEATs that knows the sounds of the toybox: what is heard at each moment, and when that is.

BEATs learned from hidden patches of AudioSet. This stand-in for its published files names, for each of its
tokens, the sound in the middle of its time, and the second: distances are all that the network knows of
places, and a captioner has to tell what came first.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.toybox_sounds import ToyboxSounds
from kinema.modules.audio.beats import BEATs, BEATsConfig
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features
from kinema.processors.fbank import FRAME_STEP, SAMPLE_RATE
from kinema.recipes.nano_fit import Fit, fit
from kinema.toybox import Scene
from kinema.toybox.vocabulary import SOUNDS
from kinema.training.init import init_weights

SILENCE = len(SOUNDS)
"""Label of a moment at which nothing sounds."""


def train_nano_ears(
    config: BEATsConfig, sound: BEATsFeaturesConfig, fit_config: Fit, *, batch_size: int = 32, seed: int = 0
) -> tuple[BEATs, float]:
    """Train ears from nothing.

    Args:
        config: their sizes.
        sound: what they hear at a time.
        fit_config: how long and how fast.
        batch_size: films a step.
        seed: of weights and films.

    Returns:
        The ears, and the share of tokens of 64 films that were not trained, whose sound they name.
    """
    torch.manual_seed(seed)
    ears = BEATs(config)
    num_seconds = -(-sound.num_samples // SAMPLE_RATE)
    heads = nn.ModuleDict(
        {
            "what": nn.Linear(config.hidden_size, SILENCE + 1),
            "when": nn.Linear(config.hidden_size, num_seconds),
        }
    )
    parts = nn.ModuleDict({"ears": ears, "heads": heads})
    init_weights(parts, seed)
    num_bands = sound.num_mel_bins // config.patch_size

    def look(films: ToyboxSounds, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """States (B, N, D), and for each token what is heard and which second it is, (B, N) both."""
        scenes = [films.scene(rng) for _ in range(count)]
        banks = [beats_features(torch.from_numpy(scene.sound().data.T), sound) for scene in scenes]
        states = ears(torch.stack(banks))
        times_s = token_times_s(states.shape[1] // num_bands, config.patch_size)
        what = torch.tensor([heard_at(scene, times_s) for scene in scenes])
        when = torch.tensor(times_s).long().expand_as(what)
        return states, what.repeat_interleave(num_bands, 1), when.repeat_interleave(num_bands, 1)

    def loss_of(step: int) -> Tensor:
        states, what, when = look(ToyboxSounds(), np.random.default_rng([seed, step]), batch_size)
        losses = [
            F.cross_entropy(head(states).float().flatten(0, 1), labels.flatten())
            for head, labels in ((heads["what"], what), (heads["when"], when))
        ]
        return losses[0] + 0.3 * losses[1]

    fit(parts, loss_of, fit_config)
    with torch.no_grad():
        states, what, _ = look(ToyboxSounds(split="validation"), np.random.default_rng([seed]), 64)
        share = (heads["what"](states).argmax(-1) == what).float().mean().item()
    return ears.eval(), share


def heard_at(scene: Scene, times_s: list[float]) -> list[int]:
    """Which of ``SOUNDS`` is heard at each time, or ``SILENCE``."""
    return [
        next((SOUNDS.index(x.name) for x in scene.sounds if x.start_s <= time_s < x.end_s), SILENCE)
        for time_s in times_s
    ]


def token_times_s(num_times: int, patch_size: int) -> list[float]:
    """The middle of each column of patches."""
    return [(index + 0.5) * patch_size * FRAME_STEP / SAMPLE_RATE for index in range(num_times)]
