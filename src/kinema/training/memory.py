"""How many bytes a stage takes on each device: a forecast from shapes, for a model that may be on meta.

Weights, gradients and optimizer states are counted; activations are what autograd keeps of each layer, as the
code stands in ``modules.language.decoder``, ``modules.vision.navit`` and ``modules.encoder``; the work of a
layer is that of ``models.footprint``, which the forecast of inference has as well. Attention is taken to be
computed by a fused kernel; the plain one, which a CPU takes in lower precision, keeps a square more.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from kinema.models.footprint import decoder_moments, encoder_moments, fullest
from kinema.modules.encoder import MLP
from kinema.modules.language.decoder import CausalSelfAttention, DecoderConfig, GatedMLP
from kinema.modules.vision.navit import PackedSelfAttention
from kinema.training.four_bits import held_bytes, unpacked_bytes
from kinema.training.optimizer import find_parts
from kinema.training.parts import inside, layers_of
from kinema.training.precision import dtype_of
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

_FLOAT = 4
_COLUMNS = ("weights", "gradients", "optimizer", "gathered", "activations", "work", "total")


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes on each of so many devices."""

    num_devices: int
    samples_at_once: int
    """That go through the model of one device together."""
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    """Weights that shards are put together to while they work, and copies of weights in lower precision."""
    activations: int
    """What layers keep for the way back."""
    work: int
    """Of one layer, or of the head, which has the logits of all labelled tokens."""

    @property
    def total(self) -> int:
        """At the fullest moment."""
        stays = self.weights + self.gradients + self.optimizer + self.gathered
        return stays + self.activations + self.work


@dataclass(frozen=True, kw_only=True)
class TrainingForecast:
    """A stage on several numbers of devices."""

    stage: str
    rows: tuple[TrainingMemory, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, bytes by the number of devices."""
        return {str(row.num_devices): {name: getattr(row, name) for name in _COLUMNS} for row in self.rows}

    def __str__(self) -> str:
        """A table in gigabytes."""
        lines = ["devices  at once  " + "  ".join(f"{name:>11}" for name in _COLUMNS)]
        for row in self.rows:
            sizes = (f"{getattr(row, name) / 1e9:8.2f} GB" for name in _COLUMNS)
            lines.append(f"{row.num_devices:7}  {row.samples_at_once:7}  " + "  ".join(sizes))
        return "\n".join(lines)


def forecast_training(
    model: nn.Module,
    stage: Stage,
    run: RunConfig,
    *,
    tokens: Mapping[str, int],
    labelled: int,
    devices: Sequence[int] = (1, 8, 64),
) -> TrainingForecast:
    """Bytes a device, for each number of devices; where there are several, ``run.shard`` is spread over them.

    Args:
        model: may have shapes only; updates of ``add_adapter`` are counted where it has them.
        stage: what learns, and how many samples a step.
        run: precision, shards, activation checkpointing, and how many samples go at once.
        tokens: of one sample, in each part that has layers: positions of ``language_model``, patches of
            ``vision_encoder``. Of two names that hold a layer the longer one counts.
        labelled: tokens of one sample that have logits; 0 for a loss without.
        devices: how many there may be.

    Raises:
        ConfigError: if the stage or the run names a part that the model has not.
    """
    counted = _Counted(model, stage, run)
    load = _Load(tokens, labelled, stage.batch_size, run.max_samples_at_once)
    return TrainingForecast(
        stage=stage.name, rows=tuple(_on_each(counted, load, run, count) for count in devices)
    )


@dataclass(frozen=True)
class _Load:
    """What goes through a model."""

    tokens: Mapping[str, int]
    labelled: int
    batch_size: int
    most_at_once: int | None

    def samples(self, num_devices: int) -> int:
        """That go through one device together."""
        share = math.ceil(self.batch_size / num_devices)
        return share if self.most_at_once is None else min(share, self.most_at_once)

    def tokens_of(self, name: str) -> int:
        """Tokens of one sample in a layer."""
        holding = [part for part in self.tokens if name.startswith(f"{part}.")]
        return self.tokens[max(holding, key=len)] if holding else 0


def _on_each(counted: "_Counted", load: _Load, run: RunConfig, num_devices: int) -> TrainingMemory:
    samples = load.samples(num_devices)
    is_sharded = bool(run.shard) and num_devices > 1
    kept = {
        name: counted.kept(layer, samples * load.tokens_of(name)) for name, layer in counted.layers.items()
    }
    activations = sum(kept.values())
    if run.activation_checkpointing:
        entering = [
            samples * load.tokens_of(name) * counted.width(name) * _FLOAT for name in kept if kept[name]
        ]
        activations = sum(entering) + max(kept.values(), default=0)
    work = [counted.work(name, samples * load.tokens_of(name)) for name in kept]
    share = num_devices if is_sharded else 1
    return TrainingMemory(
        num_devices=num_devices,
        samples_at_once=samples,
        weights=counted.spread_bytes(counted.named.values(), share),
        gradients=counted.spread_bytes(counted.learned, share),
        optimizer=counted.num_states * counted.spread_bytes(counted.learned, share),
        gathered=counted.gathered() if is_sharded else counted.copies(counted.flowing),
        activations=activations,
        work=max([*work, counted.head(samples * load.labelled)]),
    )


class _Counted:
    """What learns, what is spread, where gradients flow, and how much that is."""

    def __init__(self, model: nn.Module, stage: Stage, run: RunConfig) -> None:
        self.model, self.layers = model, layers_of(model)
        self.named = dict(model.named_parameters())
        groups = find_parts(model, stage.learning_rates).values()
        self.learned = {parameter for group in groups for parameter in group}
        spread = (inside(part, self.named, model).values() for part in run.shard)
        self.spread = {parameter for group in spread for parameter in group}
        self.flowing = self._flowing()
        self.num_states = 1 if stage.optimizer.rule == "muon" else 2
        self.item = dtype_of(run.precision).itemsize

    def _flowing(self) -> set[nn.Parameter]:
        """What a gradient goes through: in the order of the model, all from what learns on."""
        flowing, begun = set(), False
        for parameter in self.named.values():
            begun = begun or parameter in self.learned
            if begun:
                flowing.add(parameter)
        return flowing

    def spread_bytes(self, parameters: Iterable[nn.Parameter], share: int) -> int:
        """Of parameters, those that are spread divided by so many devices."""
        return sum(
            math.ceil(held_bytes(parameter) / (share if parameter in self.spread else 1))
            for parameter in parameters
        )

    def copies(self, parameters: Iterable[nn.Parameter]) -> int:
        """Of matrices, in lower precision, which are made once a step and kept for the way back."""
        linear = {module.weight for module in self.model.modules() if isinstance(module, nn.Linear)}
        copied = [some for some in linear.intersection(parameters) if some.element_size() > self.item]
        return self.item * sum(parameter.numel() for parameter in copied)

    def gathered(self) -> int:
        """Two layers and what is between layers put together, with gradients; and copies of what is whole."""
        layers = [self.spread.intersection(layer.parameters()) for layer in self.layers.values()]
        largest = max(layers, key=self._together, default=set())
        between = self.spread.difference(*layers)
        whole = self.copies(self.flowing - self.spread)
        return 2 * self._together(largest) + self._together(between) + whole

    def _together(self, parameters: set[nn.Parameter]) -> int:
        learned = parameters & self.learned
        return self.item * sum(some.numel() for group in (parameters, learned) for some in group)

    def width(self, name: str) -> int:
        """Of a token between layers."""
        return int(self._config(name).hidden_size)

    def work(self, name: str, num_tokens: int) -> int:
        """Bytes of a layer that works, or learns; of its weights in four bits, the largest unpacked."""
        config = self._config(name)
        is_decoder = isinstance(config, DecoderConfig)
        moments = decoder_moments(config, num_tokens) if is_decoder else encoder_moments(config, num_tokens)
        unpacked = max(map(unpacked_bytes, self.layers[name].parameters()))
        return fullest(moments) * self.item + unpacked

    def head(self, num_labelled: int) -> int:
        """Logits, as floats, as logarithms of shares, and the gradients of these."""
        configs = (getattr(module, "config", None) for module in self.model.modules())
        rows = max((config.vocab_size for config in configs if isinstance(config, DecoderConfig)), default=0)
        return num_labelled * rows * (3 * _FLOAT + (2 * self.item if self.item < _FLOAT else 0))

    def _config(self, name: str) -> Any:
        return self.model.get_submodule(name.rpartition(".layers.")[0]).config

    def kept(self, layer: nn.Module, num_tokens: int) -> int:
        """Bytes that autograd keeps of a layer; what enters it is among them."""
        if not self.flowing.intersection(layer.parameters()):
            return 0
        return num_tokens * sum(self._kept_each(module) for module in layer.modules())

    def _kept_each(self, module: nn.Module) -> int:
        """Bytes for each token of what a module, without those inside it, keeps."""
        match module:
            case nn.LayerNorm():
                return module.normalized_shape[-1] * _FLOAT
            case nn.RMSNorm():  # and what is scaled, where one kernel does not do all
                return module.normalized_shape[-1] * _FLOAT * (1 + (module.weight in self.learned))
            case nn.Linear():
                return module.in_features * self.item * (module.weight in self.learned)
            case CausalSelfAttention():
                turned = (module.num_heads + module.num_kv_heads) * module.head_dim
                return (_outputs(module.qkv) + turned) * self.item + self._attended(module)
            case PackedSelfAttention():
                return _outputs(module.qkv) * 5 // 3 * self.item + self._attended(module)
            case GatedMLP():
                return (_outputs(module.gate_up) + module.down.in_features) * self.item
            case MLP():
                return _outputs(module.fc1) * self.item
            case _ if hasattr(module, "qkv") and hasattr(module, "out"):
                return _outputs(module.qkv) * self.item + self._attended(module)
        return 0

    def _attended(self, attention: Any) -> int:
        """What attention gives, where the layer behind it does not keep it anyway."""
        return attention.out.in_features * self.item * (attention.out.weight not in self.learned)


def _outputs(linear: Any) -> int:
    return int(linear.out_features)
