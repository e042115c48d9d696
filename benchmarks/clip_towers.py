"""Our CLIP towers against transformers' on the same random weights, at equal outputs, in one run.

    OMP_NUM_THREADS=1 python benchmarks/clip_towers.py --clock processor

Towers of ViT-L/14's widths, with fewer layers so that a run takes a minute. Outputs are compared first; then
both sides take turns, and medians are printed. float32, sdpa attention, no gradients. transformers has no
attention over time, so a clip through our video tower has no rival.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from safetensors.torch import save_file

from contest import CLOCKS, Contest, machine, print_contests, timed
from kinema.hub.files import open_checkpoint
from kinema.models.languagebind.config import NUM_FRAMES, LanguageBindConfig, Modality, languagebind_large
from kinema.models.languagebind.config_json import write_config
from kinema.models.languagebind.keys import model_keymap
from kinema.models.languagebind.model import LanguageBind
from kinema.modules.vision.clip import CLIPVision

TEXTS = 16
ATOL = 2e-4


def main() -> None:
    """Compare, time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=4, help="of each tower; published are 24 and 12")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    ours, theirs = build(options.layers)
    pixels = torch.randn(NUM_FRAMES, 3, 224, 224)
    ids = torch.randint(1, 49000, (TEXTS, ours.config.text.max_positions))
    ids[:, -1] = ours.config.text.vocab_size - 1
    video = CLIPVision(replace(ours.config.vision, num_frames=NUM_FRAMES)).eval()
    contests = [
        Contest(
            f"{NUM_FRAMES} images",
            timed(lambda: ours.vision_encoder(pixels[:, None]), clock),
            {"sdpa": timed(lambda: theirs.vision_model(pixels).pooler_output, clock)},
            atol=ATOL,
        ),
        Contest(
            f"{TEXTS} texts",
            timed(lambda: ours.text_encoder(ids), clock),
            {"sdpa": timed(lambda: theirs.text_model(ids).pooler_output, clock)},
            atol=ATOL,
        ),
    ]
    print_contests(contests, options.repeats)
    run = timed(lambda: video(pixels[None]), clock)
    clip_s = statistics.median(run()[0] for _ in range(options.repeats))
    print(f"\na clip of {NUM_FRAMES} frames, with attention over time: {clip_s:.3f} s\n\n{machine()}")


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


if __name__ == "__main__":
    main()
