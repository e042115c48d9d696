"""The answers of the original code, token for token."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import kinema
from kinema.inference.cache import GrowingCache, StaticCache
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.generate import decode, prefill
from kinema.inference.runner import Runner, RunSettings
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.inference.usage import Usage
from kinema.media.frames import FrameBatch
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.pruning import NoPruning


@pytest.fixture(scope="module")
def cases(golden_dir):
    """Name -> description and tensors, of the cases that were written on."""
    folder = golden_dir / "videollama3/full_model"
    described = json.loads((folder / "cases.json").read_text())["cases"]
    tensors = {name: load_file(folder / f"{name}.safetensors") for name in described}
    return {name: (described[name], tensors[name]) for name in described if "greedy_tokens" in tensors[name]}


@pytest.fixture(scope="module")
def model(checkpoint):
    return kinema.load(checkpoint, device="cpu")


def prompt_of(case, tensors) -> Conversation:
    """All messages but the last, which is the answer that the case was made with."""
    return Conversation(messages=tuple(message_of(message, tensors) for message in case["messages"][0][:-1]))


def message_of(message, tensors) -> Message:
    content = message["content"]
    if isinstance(content, str):
        return Message(role=message["role"], parts=(TextPart(text=content),))
    return Message(role=message["role"], parts=tuple(part_of(part, tensors) for part in content))


def part_of(part, tensors):
    if part["type"] == "text":
        return TextPart(text=part["text"])
    if part["type"] == "image":
        return ImagePart(source=tensors["uint8.image"].numpy())
    frames, times = tensors["uint8.frames"].numpy(), torch.tensor(part["timestamps"], dtype=torch.float64)
    return VideoPart(source=FrameBatch(data=frames, pts_s=times.numpy(), duration_s=float(times[-1]) + 1))


def runner_of(model, case) -> Runner:
    processor = model.processor
    if not case["use_token_compression"]:
        config = replace(processor.config, pruning=NoPruning())
        processor = VideoLLaMA3Processor(processor.tokenizer, config)
    return Runner(model.network, processor, (), RunSettings(max_patches=40))


@pytest.mark.parametrize("chunk", [None, 16])
@pytest.mark.parametrize("kind", [StaticCache, GrowingCache])
def test_greedy_answers_equal_the_originals(model, cases, kind, chunk):
    assert cases
    for case, tensors in cases.values():
        expected = tensors["greedy_tokens"]
        runner = runner_of(model, case)
        prompt, embeds = runner.embed(prompt_of(case, tensors), Usage())
        num_positions = len(prompt.ids)
        cache = kind(runner.network.language_model.config, num_positions + len(expected))
        positions = torch.arange(num_positions)[None]
        logits = prefill(runner.network.language_model, embeds, positions, cache, chunk=chunk)
        sampler, first = Sampler(SamplingConfig()), torch.tensor([num_positions])
        steps = decode(runner.network.language_model, logits, cache, first, [sampler])
        written = [next(steps)[0] for _ in expected]
        assert [step.token for step in written] == expected.tolist()
        logits = torch.stack([step.logits for step in written])
        torch.testing.assert_close(logits, tensors["greedy_logits"], atol=5e-4, rtol=0)


def test_the_front_door_says_what_the_original_says(model, cases):
    for case, tensors in cases.values():
        runner = runner_of(model, case)
        door = VideoLanguageModel(model.network, runner.processor, eos_ids=())
        expected = model.processor.tokenizer.decode(tensors["greedy_tokens"].tolist())
        assert door.ask(prompt_of(case, tensors), max_new_tokens=len(tensors["greedy_tokens"])) == expected
