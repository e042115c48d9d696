"""Our CLIP towers against transformers' on the same random weights, at equal outputs, in one run.

    OMP_NUM_THREADS=1 python benchmarks/clip_towers.py

Towers of ViT-L/14's widths, with fewer layers so that a run takes a minute. Outputs are compared first; then
both sides take turns, and medians are printed. float32, sdpa attention, no gradients. transformers has no
attention over time, so a clip through our video tower has no rival.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from kinema.hub.files import open_checkpoint
from kinema.models.languagebind.config import NUM_FRAMES, LanguageBindConfig, Modality, languagebind_large
from kinema.models.languagebind.config_json import write_config
from kinema.models.languagebind.keys import model_keymap
from kinema.models.languagebind.model import LanguageBind
from kinema.modules.vision.clip import CLIPVision

TEXTS = 16


def main() -> None:
    """Compare, time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=4, help="of each tower; published are 24 and 12")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = build(options.layers)
    pixels = torch.randn(NUM_FRAMES, 3, 224, 224)
    ids = torch.randint(1, 49000, (TEXTS, ours.config.text.max_positions))
    ids[:, -1] = ours.config.text.vocab_size - 1
    video = CLIPVision(replace(ours.config.vision, num_frames=NUM_FRAMES)).eval()
    with torch.inference_mode():
        compare(
            f"{NUM_FRAMES} images",
            lambda: ours.vision_encoder(pixels[:, None]),
            lambda: theirs.vision_model(pixels).pooler_output,
            options.repeats,
        )
        compare(
            f"{TEXTS} texts",
            lambda: ours.text_encoder(ids),
            lambda: theirs.text_model(ids).pooler_output,
            options.repeats,
        )
        (clip,) = timed([lambda: video(pixels[None])], options.repeats)
        print(f"{f'a clip of {NUM_FRAMES} frames':16}  ours {clip:7.3f} s")


def build(num_layers: int) -> tuple[LanguageBind, transformers.CLIPModel]:
    """Both models with the same weights."""
    published = languagebind_large(Modality.IMAGE)
    config = LanguageBindConfig(
        modality=published.modality,
        vision=replace(published.vision, num_layers=num_layers),
        text=replace(published.text, num_layers=num_layers),
        projection_size=published.projection_size,
    )
    fields = write_config(config, dtype="float32")
    fields["text_config"]["eos_token_id"] = config.text.vocab_size - 1
    sizes = {name: fields[name] for name in ("projection_dim", "text_config", "vision_config")}
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**sizes)).eval()
    with torch.device("meta"):
        ours = LanguageBind(config)
    with TemporaryDirectory() as folder:
        save_file(dict(theirs.state_dict()), Path(folder) / "model.safetensors")
        model_keymap(config).load_into(ours, open_checkpoint(Path(folder)))
    return ours.eval(), theirs


def compare(name: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor], repeats: int) -> None:
    """Check that both give the same, then print how long each takes."""
    torch.testing.assert_close(ours(), theirs(), atol=2e-4, rtol=1e-4)
    our_s, their_s = timed([ours, theirs], repeats)
    print(
        f"{name:16}  ours {our_s:7.3f} s  transformers {their_s:7.3f} s  {their_s / our_s:5.2f} times as fast"
    )


def timed(functions: list[Callable[[], Tensor]], repeats: int) -> list[float]:
    """Median seconds of each, taking turns."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


if __name__ == "__main__":
    main()
