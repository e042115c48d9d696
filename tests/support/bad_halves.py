"""Trainings in which some samples are bad, alone or by two processes that share each batch."""

from pathlib import Path
from typing import Any

import torch
from letters import LetterModel
from pair_towers import RATES, PairTowers, make_pairs
from torch import Tensor
from troubled import Films, LettersOneByOne, fail

from kinema.datasets.mixture import mixture
from kinema.distributed.world import joined_world
from kinema.processors.messages import Conversation
from kinema.processors.pairs import PairInputs
from kinema.training.contrastive import Contrastive
from kinema.training.loop import train
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

LENGTHS = (4, 7, 5, 3)


class PairsOneByOne:
    """The number of a film is the seed of a pair; some are bad."""

    def __init__(self, bad: frozenset[int]) -> None:
        self.bad = bad

    def read(self, conversation: Conversation) -> int:
        number = int(conversation.messages[0].parts[0].source.removeprefix("film").removesuffix(".mp4"))
        if number in self.bad:
            fail()
        return number

    def collate(self, samples: list[int]) -> PairInputs:
        return make_pairs(samples)

    def __call__(self, conversations: list[Conversation], *, with_labels: bool) -> PairInputs:
        return self.collate([self.read(talk) for talk in conversations])

    def with_settings(self, **settings: Any) -> "PairsOneByOne":
        return self


def train_letters(folder: Path, bad: frozenset[int]) -> dict[str, Tensor]:
    """Weights after three steps of four samples, the second half of each for the second process."""
    model = LetterModel()
    stage = Stage(
        name="letters",
        learning_rates={"embedding": 0.1, "language_model": 0.1},
        data=mixture((Films(LENGTHS), 1.0)),
        num_steps=3,
        batch_size=4,
    )
    settings = RunConfig(out_dir=folder, num_workers=0, log_every=1, max_bad_share=1.0)
    train(model, LettersOneByOne(dict.fromkeys(bad, fail)), [stage], settings)
    return model.state_dict()


def train_pairs(folder: Path, bad: frozenset[int]) -> dict[str, Tensor]:
    """The same of a loss that compares all pairs of a batch."""
    model = PairTowers()
    stage = Stage(
        name="pairs",
        learning_rates=RATES,
        data=mixture((Films(), 1.0)),
        num_steps=3,
        batch_size=4,
        loss=Contrastive(),
    )
    settings = RunConfig(out_dir=folder, num_workers=0, log_every=1, max_bad_share=1.0)
    train(model, PairsOneByOne(bad), [stage], settings)
    return model.state_dict()


def train_halves(folder: Path) -> dict[str, dict[str, Tensor]]:
    """What one of two processes learns."""
    torch.set_num_threads(1)
    with joined_world("cpu"):
        return {
            "letters": train_letters(folder / "letters", frozenset({6, 7})),
            "pairs": train_pairs(folder / "pairs", frozenset({6})),
            "lost pairs": train_pairs(folder / "lost_pairs", frozenset({6, 7})),
        }
