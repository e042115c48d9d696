"""A training of a millisecond a step: eight letters of the alphabet in a row."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinema.datasets.mixture import mixture
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation, Message, TextPart
from kinema.training.run import RunConfig
from kinema.training.stage import Stage


class Letters:
    """Conversations of eight letters, one after the other in the alphabet."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        start = rng.integers(18)
        text = "".join(chr(97 + start + step) for step in range(8))
        return Conversation(messages=(Message(role="user", parts=(TextPart(text=text),)),))


class LetterProcessor:
    """A letter is a token."""

    def __call__(self, conversations, *, with_labels: bool) -> ModelInputs:
        rows = [[ord(letter) - 97 for letter in c.messages[0].text] for c in conversations]
        ids = torch.tensor(rows)
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        return ModelInputs(input_ids=ids, position_ids=positions, labels=ids if with_labels else None)

    def with_settings(self, **settings: object) -> "LetterProcessor":
        return self


class LanguageModel(nn.Module):
    """A head."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 26)

    def logits(self, hidden_states):
        return self.head(hidden_states)


class LetterModel(nn.Module):
    """The next letter from this one."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(26, 8)
        self.dropout = nn.Dropout(dropout)
        self.language_model = LanguageModel()

    def hidden_states(self, inputs: ModelInputs):
        return self.dropout(self.embedding(inputs.input_ids))


def letter_stage(name: str = "letters", num_steps: int = 20, **changes: Any) -> Stage:
    """A stage that learns all of it."""
    settings = {
        "learning_rates": {"embedding": 0.1, "language_model": 0.1},
        "data": mixture((Letters(), 1.0)),
        "num_steps": num_steps,
        "batch_size": 8,
    }
    return Stage(name=name, **settings | changes)


def letter_run(folder: Path, **changes: Any) -> RunConfig:
    """In this process, with a checkpoint every five steps."""
    return RunConfig(out_dir=folder, **{"num_workers": 0, "log_every": 5, "save_every": 5} | changes)
