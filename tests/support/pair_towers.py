"""The smallest model with a contrastive loss, its data, and what one of two processes does with them."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.mixture import mixture
from kinema.distributed.gather import average_gradients
from kinema.distributed.world import joined_world, rank, world_size
from kinema.processors.messages import Conversation, Message, TextPart
from kinema.processors.pairs import PairInputs
from kinema.training.contrastive import Contrastive
from kinema.training.loop import train
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

WIDTH, NUM_PAIRS = 6, 8
RATES = {"visual": 0.01, "text": 0.01, "logit_scale": 0.01}


class PairTowers(nn.Module):
    """A matrix for pixels of one frame, one for texts of three tokens."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.visual = nn.Linear(3 * 2 * 2, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.text = nn.Embedding(10, WIDTH)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.calls = 0

    def embed_pixels(self, pixel_values: Tensor) -> Tensor:
        self.calls += 1
        return F.normalize(self.visual(self.dropout(pixel_values.flatten(1))), dim=-1)

    def embed_text(self, input_ids: Tensor) -> Tensor:
        return F.normalize(self.text(input_ids).mean(1), dim=-1)


def make_pairs(seeds: range) -> PairInputs:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return PairInputs(
        pixel_values=torch.stack([torch.randn(1, 3, 2, 2, generator=g) for g in generators]),
        input_ids=torch.stack([torch.randint(10, (3,), generator=g) for g in generators]),
    )


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def learn(seeds: range) -> dict[str, Tensor]:
    """Loss and gradients, where this process holds some of the pairs."""
    model = PairTowers()
    loss = Contrastive()(model, make_pairs(seeds))
    loss.backward()
    average_gradients(model.parameters())
    return {"loss": loss.detach(), **gradients(model)}


class Numbers:
    """Sample i is the text of its number."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        return Conversation(messages=(Message(role="user", parts=(TextPart(text=str(index)),)),))


class NumberProcessor:
    """A number is the seed of a pair."""

    def __call__(self, conversations, *, with_labels: bool) -> PairInputs:
        return make_pairs([int(c.messages[0].text) for c in conversations])

    def with_settings(self, **settings: object) -> "NumberProcessor":
        return self


def train_pairs(folder: Path, batch_size: int = NUM_PAIRS) -> dict[str, Tensor]:
    """Weights after a few steps."""
    model = PairTowers()
    stage = Stage(
        name="pairs",
        learning_rates=RATES,
        data=mixture((Numbers(), 1.0)),
        num_steps=6,
        batch_size=batch_size,
        loss=Contrastive(),
    )
    run = RunConfig(out_dir=folder, num_workers=0, log_every=2, save_every=4)
    train(model, NumberProcessor(), [stage], run)
    return model.state_dict()


def learn_together(folder: Path) -> dict[str, dict[str, Tensor]]:
    """What one of two processes finds, with half of every batch."""
    with joined_world("cpu"):
        ranks = torch.tensor([rank(), world_size()])
        half = NUM_PAIRS // 2
        learned = learn(range(rank() * half, (rank() + 1) * half))
        trained = train_pairs(folder)
    return {"world": {"ranks": ranks}, "learned": learned, "trained": trained}
