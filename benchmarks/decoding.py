"""Reading a prompt and writing an answer: what decoders of any family are compared by."""

from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from contest import Clock, Contest, timed
from kinema.inference.cache import StaticCache
from kinema.inference.generate import decode, prefill
from kinema.inference.runner import RunSettings
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.models.fused import FusedModel
from kinema.modules.language.decoder import Decoder
from kinema.processors.inputs import ModelInputs

SETTINGS = RunSettings.for_device(torch.device("cpu"))
NUM_PREFILL, NUM_PROMPT, NUM_NEW = 1500, 1000, 128


def decoding(ours: Decoder, theirs: Any, clock: Clock) -> Iterator[Contest]:
    """A prompt to logits, and greedy tokens after another.

    Args:
        ours: a decoder.
        theirs: the whole model for generation, with the same decoder.
        clock: what seconds are.
    """
    yield _reading(ours, theirs, clock)
    yield _writing(ours, theirs, clock)


def prompt_ids(length: int) -> Tensor:
    """(1, N) tokens, none of them a placeholder."""
    return torch.randint(1000, 30000, (1, length), generator=torch.Generator().manual_seed(0))


def our_prefill(decoder: Decoder, ids: Tensor, *, num_new: int = 0) -> tuple[Tensor, StaticCache]:
    """Logits (1, V) and a cache with room for an answer."""
    cache = StaticCache(decoder.config, ids.shape[1] + num_new)
    embeds, positions = decoder.embed(ids), torch.arange(ids.shape[1])[None]
    return prefill(decoder, embeds, positions, cache, chunk=SETTINGS.prefill_chunk), cache


def our_answer(model: FusedModel, inputs: ModelInputs, *, num_new: int) -> None:
    """Encode what is seen, read the prompt around it and write greedy tokens."""
    decoder, length = model.language_model, inputs.input_ids.shape[1]
    embeds = model.embed(inputs, max_patches=SETTINGS.max_patches)
    cache = StaticCache(decoder.config, length + num_new)
    logits = prefill(decoder, embeds, inputs.position_ids, cache, chunk=SETTINGS.prefill_chunk)
    list(islice(decode(decoder, logits, cache, torch.tensor([length]), [Sampler(SamplingConfig())]), num_new))


def clip_prompt(num_visual: int, placeholder: int) -> tuple[Tensor, Tensor]:
    """(1, N) ids with a placeholder a visual token between 20 words, and where they stand."""
    words, seen = prompt_ids(10), torch.full((1, num_visual), placeholder)
    ids = torch.cat((words, seen, words), dim=1)
    return ids, ids == placeholder


def _reading(ours: Decoder, theirs: Any, clock: Clock) -> Contest:
    """A prompt to the logits of the next token."""
    ids = prompt_ids(NUM_PREFILL)
    return Contest(
        f"prefill {NUM_PREFILL} tokens",
        timed(lambda: our_prefill(ours, ids)[0], clock),
        {
            "model(...)": timed(lambda: theirs(input_ids=ids, use_cache=True).logits[:, -1], clock),
            "head on the last position": timed(
                lambda: theirs.lm_head(theirs.model(input_ids=ids, use_cache=True)[0][:, -1]), clock
            ),
        },
        atol=1e-3,
        work=NUM_PREFILL,
    )


def _writing(ours: Decoder, theirs: Any, clock: Clock) -> Contest:
    """Greedy tokens after the first one, which the prompt gives."""
    ids = prompt_ids(NUM_PROMPT)

    def run_ours() -> tuple[float, Tensor]:
        with torch.inference_mode():
            logits, cache = our_prefill(ours, ids, num_new=NUM_NEW + 1)
            tokens, times = [], []
            sampler = Sampler(SamplingConfig())
            steps = decode(ours, logits, cache, torch.tensor([NUM_PROMPT]), [sampler])
            for (step,) in islice(steps, NUM_NEW + 1):
                tokens.append(step.token)
                times.append(clock())
        return times[-1] - times[0], torch.tensor(tokens)

    def run_theirs(kind: str) -> tuple[float, Tensor]:
        times: list[float] = []
        watch = SimpleNamespace(put=lambda tokens: times.append(clock()), end=lambda: None)
        options = {"do_sample": False, "max_new_tokens": NUM_NEW + 1, "pad_token_id": 0}
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.inference_mode():
            out = theirs.generate(**given, **options, cache_implementation=kind, streamer=watch)
        return times[-1] - times[1], out[0, NUM_PROMPT:]  # the first time is that of the prompt

    caches = ("dynamic", "static")
    return Contest(
        f"decode {NUM_NEW} tokens after {NUM_PROMPT}",
        run_ours,
        {f"{kind} cache": lambda kind=kind: run_theirs(kind) for kind in caches},
        atol=0.0,
        work=NUM_NEW,
    )
