"""The network against the original's numbers: encoder, projector, whole model, with the golden tolerances."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.training.losses import NextToken


@pytest.fixture(scope="module")
def folder(golden_dir) -> Path:
    return golden_dir / "videollama3"


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory) -> VideoLLaMA3:
    source = tmp_path_factory.mktemp("official")
    full_model = folder / "full_model"
    (source / "config.json").write_bytes((full_model / "config_official.json").read_bytes())
    (source / "model.safetensors").write_bytes((full_model / "weights_official.safetensors").read_bytes())
    for file in (folder / "tokenizer").iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    return checkpoint.load(source).model.eval()


def close(actual: torch.Tensor, expected: torch.Tensor, atol: float) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0.0)


def cases(folder: Path, name: str) -> dict[str, dict[str, torch.Tensor]]:
    return {file.stem: load_file(file) for file in sorted((folder / name).glob("*.safetensors"))}


@torch.no_grad()
def test_the_vision_encoder_equals_the_original(folder, model):
    encoder = model.vision_encoder
    for case in cases(folder, "vision_encoder").values():
        inputs = (case["pixel_values"], case["grid_thw"], case["merge_sizes"])
        close(encoder.patch_embedding(inputs[0]), case["patch_embeddings"], 3e-5)
        close(encoder.encode(*inputs), case["hidden_states"], 3e-5)
        close(encoder(*inputs), case["features"], 3e-5)


@torch.no_grad()
@pytest.mark.parametrize("max_patches", [1, 20, 50])
def test_an_encoder_that_works_in_parts_gives_the_same(folder, model, max_patches):
    for case in cases(folder, "vision_encoder").values():
        inputs = (case["pixel_values"], case["grid_thw"], case["merge_sizes"])
        close(model.vision_encoder(*inputs, max_patches=max_patches), case["features"], 3e-5)


@torch.no_grad()
def test_the_connector_equals_the_original(folder, model):
    for case in cases(folder, "projector").values():
        close(model.connector(case["features"]), case["projected"], 1e-5)


def forward_cases(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: case for name, case in cases(folder, "full_model").items() if "logits" in case}


@torch.no_grad()
def test_the_whole_model_equals_the_original(folder, model):
    found = forward_cases(folder)
    assert found
    for case in found.values():
        inputs = model_inputs(case, image_token_id(folder))
        close(model.embed(inputs)[0], case["inputs_embeds"], 1e-5)
        close(model(inputs)[0], case["logits"], 5e-4)
        close(NextToken()(model, inputs), case["loss"][0], 1e-4)


@torch.no_grad()
def test_the_loss_of_each_packed_sample_equals_the_original(folder, model):
    found = {name: case for name, case in forward_cases(folder).items() if "loss_per_sample" in case}
    assert found
    for case in found.values():
        inputs = model_inputs(case, image_token_id(folder))
        logits, start = model(inputs)[0], 0
        for length, expected in zip(inputs.segment_lengths, case["loss_per_sample"], strict=True):
            rows = slice(start, start + length)
            loss = F.cross_entropy(logits[rows][:-1], inputs.labels[0, rows][1:])
            close(loss, expected, 1e-4)
            start += length


def image_token_id(folder: Path) -> int:
    return json.loads((folder / "full_model" / "config_official.json").read_text())["image_token_index"]


def model_inputs(case: dict[str, torch.Tensor], image_token: int) -> ModelInputs:
    """The case as the model takes it: after pruning, without the zero patch that stands for a text sample."""
    input_ids = case.get("input_ids_after", case["input_ids"])[None]
    positions = case.get("position_ids_after", torch.arange(input_ids.shape[1]))[None]
    starts = [*torch.nonzero(positions[0] == 0).flatten().tolist(), input_ids.shape[1]]
    lengths = tuple(stop - start for start, stop in itertools.pairwise(starts))
    visual_mask = input_ids == image_token
    return ModelInputs(
        input_ids=input_ids,
        position_ids=positions,
        labels=case.get("labels_after", case["labels"])[None],
        visual=visual_inputs(case, int(visual_mask.sum())),
        visual_mask=visual_mask,
        segment_lengths=lengths if len(lengths) > 1 else None,
    )


def visual_inputs(case: dict[str, torch.Tensor], num_placeholders: int) -> VisualInputs:
    grid_thw, merge_sizes, keep_mask = case["grid_thw"], case["merge_sizes"], case.get("keep_mask")
    num_tokens = len(keep_mask) if keep_mask is not None else num_placeholders
    tokens = grid_thw.prod(-1) // merge_sizes**2
    num_items = int((tokens.cumsum(0) <= num_tokens).sum())
    grid_thw = grid_thw[:num_items]
    return VisualInputs(
        pixel_values=case["pixel_values"][: int(grid_thw.prod(-1).sum())],
        grid_thw=grid_thw,
        merge_sizes=merge_sizes[:num_items],
        keep_mask=keep_mask,
    )
