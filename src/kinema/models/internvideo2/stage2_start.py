"""A model of stage 2 as its training begins: an encoder of stage 1, BERT, BEATs, and what joins them new."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource, open_checkpoint
from kinema.hub.keymap import Ignore, KeyMap
from kinema.models.bert_keys import bert_rules
from kinema.models.internvideo2.captioner_start import load_beats
from kinema.models.internvideo2.stage2 import InternVideo2Stage2, Stage2Config
from kinema.models.internvideo2.student import InternVideo2Student
from kinema.models.internvideo2.vision_checkpoint import load_student
from kinema.modules.text.bert import Bert

_SPREAD = 0.02
"""Of all that is drawn, as BERT draws it."""


def assemble_stage2(
    config: Stage2Config, vision: Path, text: Path, audio: Path | None, generator: torch.Generator
) -> InternVideo2Stage2:
    """Put a model together, in float32.

    Args:
        config: sizes.
        vision: an encoder of stage 1; decoders of its motion teacher end there, and positions are
            interpolated to the frames of stage 2.
        text: a folder of BERT, such as ``bert-large-uncased``; cross-attention is drawn.
        audio: weights of BEATs, of a model that hears.
        generator: draws the rest.

    Raises:
        WeightsError: if a part is not whole, or of other sizes.
    """
    model = InternVideo2Stage2(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_SPREAD, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _see(model.vision_encoder, load_student(vision, dtype=torch.float32), vision)
    _read(model.text_encoder, text)
    if model.hearing is not None and audio is not None:
        ears = load_beats(audio, dtype=torch.float32)
        _give(model.hearing.audio_encoder, ears.state_dict(), audio)
    return model


def _see(encoder: InternVideo2Student, student: InternVideo2Student, source: Path) -> None:
    vision = encoder.config.vision
    student.resize_positions(num_frames=vision.num_frames, image_size=vision.image_size)
    images = {name: tensor for name, tensor in encoder.state_dict().items() if name.endswith(".image")}
    _give(encoder, images | student.state_dict(), source)  # tables that stage 1 has not begin as sines


def _give(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    own = module.state_dict()
    wrong = [name for name, tensor in own.items() if name not in state or state[name].shape != tensor.shape]
    if wrong:
        raise WeightsError(f"{source} is of other sizes: {', '.join(wrong[:3])} are not what is needed.")
    module.load_state_dict({name: state[name] for name in own})


def _read(encoder: Bert, folder: Path) -> None:
    """Give BERT what is known of words by one that was trained on text alone."""
    rules = (
        *bert_rules(encoder.config, theirs="", ours=""),
        Ignore("bert.pooler.**", "a text is told by its first token as it is"),
        Ignore("cls.seq_relationship.*", "nobody asks whether one sentence follows another"),
    )
    own = encoder.state_dict()
    known = {name: tuple(tensor.shape) for name, tensor in own.items() if ".cross_" not in name}
    files = _TodaysNames(open_checkpoint(folder))
    encoder.load_state_dict(own | KeyMap("BERT", rules).load(files, known, dtype=torch.float32))


class _TodaysNames:
    """Tensors of a file that may call weight and bias of a norm gamma and beta, as BERT's first files do."""

    def __init__(self, files: TensorSource) -> None:
        self._files = files
        self._keys = {
            re.sub(
                "LayerNorm.gamma$", "LayerNorm.weight", re.sub("LayerNorm.beta$", "LayerNorm.bias", key)
            ): key
            for key in files.shapes
        }

    @property
    def origin(self) -> str:
        return self._files.origin

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {key: self._files.shapes[theirs] for key, theirs in self._keys.items()}

    @property
    def dtypes(self) -> Mapping[str, str]:
        return {key: self._files.dtypes[theirs] for key, theirs in self._keys.items()}

    def read(self, key: str) -> Tensor:
        return self._files.read(self._keys[key])
