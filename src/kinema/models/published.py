"""The published checkpoints that are known to load: a table for people to choose from.

Nothing looks a model up here to decide how it is loaded; ``config.json`` says that.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A checkpoint that is known to load."""

    name: str
    """A hub id, or one with a file of its repository behind it, or ``nano``."""
    family: str
    num_parameters: int
    licence: str
    notes: str
    is_part: bool = False
    """Whether it is a vision encoder alone, which cannot be asked anything."""

    @property
    def hub_id(self) -> str:
        """The repository on the hub."""
        return "/".join(self.name.split("/")[:2])

    @property
    def bf16_bytes(self) -> int:
        """What the weights take in bfloat16, on disk and in memory."""
        return 2 * self.num_parameters


def published_models() -> list[NamedModel]:
    """All families' checkpoints on the hub."""
    return [*_videollama3(), *_languagebind(), *_video_llava(), *_internvideo2()]


def _videollama3() -> list[NamedModel]:
    licence = "Apache-2.0 (model card); the repository adds: research preview, non-commercial use only"
    size_2b, size_7b, size_encoder = 1_959_993_584, 8_044_744_944, 412_147_440
    models = [
        ("DAMO-NLP-SG/VideoLLaMA3-2B", size_2b, "images and video, after stage 4"),
        ("DAMO-NLP-SG/VideoLLaMA3-7B", size_7b, "images and video, after stage 4"),
        ("DAMO-NLP-SG/VideoLLaMA3-2B-Image", size_2b, "after stage 3, best on images"),
        ("DAMO-NLP-SG/VideoLLaMA3-7B-Image", size_7b, "after stage 3, best on images"),
        ("lkhl/VideoLLaMA3-2B-Image-HF", size_2b, "the same weights in transformers' layout"),
        ("lkhl/VideoLLaMA3-7B-Image-HF", size_7b, "the same weights in transformers' layout"),
    ]
    encoders = [
        ("DAMO-NLP-SG/VL3-SigLIP-NaViT", size_encoder, "the vision encoder of the trained 7B"),
        (
            "DAMO-NLP-SG/SigLIP-NaViT",
            size_encoder,
            "SigLIP's weights, not yet trained for rotary positions: start of stage 1",
        ),
    ]
    return [
        *_named("videollama3", licence, models),
        *_named("videollama3", licence, encoders, is_part=True),
    ]


def _languagebind() -> list[NamedModel]:
    video, image, audio = 528_623_873, 427_616_513, 428_036_353
    models = [
        ("LanguageBind/LanguageBind_Image", image, "embeds images and text"),
        ("LanguageBind/LanguageBind_Video", video, "embeds video and text; low-rank updates apart"),
        ("LanguageBind/LanguageBind_Video_merge", video, "the same weights, merged"),
        ("LanguageBind/LanguageBind_Video_FT", video, "embeds video and text; temporal blocks tuned whole"),
        ("LanguageBind/LanguageBind_Video_V1.5_FT", 528_631_041, "the same, of 10 million clips"),
        ("LanguageBind/LanguageBind_Video_Huge_V1.5_FT", 1_196_407_041, "the same, of ViT-H/14's size"),
        ("LanguageBind/LanguageBind_Audio", audio, "embeds sound and text; low-rank updates apart"),
        ("LanguageBind/LanguageBind_Audio_FT", audio, "embeds sound and text; tuned whole"),
        ("LanguageBind/LanguageBind_Depth", image, "embeds depth maps and text; low-rank updates apart"),
        ("LanguageBind/LanguageBind_Thermal", image, "embeds heat maps and text; low-rank updates apart"),
    ]
    return _named(
        "languagebind", "MIT (repository); the data it learned from, VIDAL-10M, is CC-BY-NC-4.0", models
    )


def _video_llava() -> list[NamedModel]:
    licence = "Apache-2.0 (repository), which adds: research preview, non-commercial use, LLaMA's licence"
    models = [
        ("LanguageBind/Video-LLaVA-7B", 7_466_762_240, "images and video, both towers whole"),
        (
            "LanguageBind/Video-LLaVA-7B-hf",
            7_366_279_168,
            "for transformers: its video tower has lost the attention over time",
        ),
    ]
    return _named("video_llava", licence, models)


def _internvideo2() -> list[NamedModel]:
    apart = "which it needs as parts; gated"
    small = "the same of {}/14; trained on its distilled encoder and MobileCLIP-B, which it needs as parts"
    models = [
        ("InternVideo2-Stage2_1B-224p-f4", 1_410_146_493, "embeds video, images, text, and matches; gated"),
        ("InternVideo2-Stage2_6B-224p-f4", 6_453_900_079, "the same, and sound; gated"),
        (
            "InternVideo2-CLIP-1B-224p-f8",
            7_704_737_537,
            f"embeds video, images, text; trained on stage 2's 1B and InternVL-C, {apart}",
        ),
        (
            "InternVideo2-CLIP-6B-224p-f8",
            12_625_764_097,
            f"the same, on stage 2's 6B and InternVL-C, {apart}",
        ),
        (f"{_DISTILLED}/clip/S14/pytorch_model.bin", 86_867_201, small.format("S")),
        (f"{_DISTILLED}/clip/B14/pytorch_model.bin", 153_262_337, small.format("B")),
        (f"{_DISTILLED}/clip/L14/pytorch_model.bin", 372_752_641, small.format("L")),
        ("InternVideo2_CLIP_S", 372_752_641, "the same, whole; by its size it is L/14, whatever its name"),
    ]
    chats = [
        ("InternVideo2-Chat-8B", 8_428_836_096, "images and video, with Mistral 7B; gated"),
        ("InternVideo2_chat_8B_HD", 8_428_836_096, "the same, trained on tiles: max_tiles=6; gated"),
    ]
    encoders = [
        ("InternVideo2-Stage1-1B-224p-f8", 1_070_042_752, "the 1B after stage 1, with its decoders"),
        (f"{_DISTILLED}/stage1/S14/S14_dist_1B_stage2/pytorch_model.bin", 29_169_792, "S/14 of the 1B"),
        (f"{_DISTILLED}/stage1/B14/B14_dist_1B_stage2/pytorch_model.bin", 102_252_288, "B/14 of the 1B"),
        (f"{_DISTILLED}/stage1/L14/L14_dist_1B_stage2/pytorch_model.bin", 327_183_872, "L/14 of the 1B"),
    ]
    return [
        *_named("internvideo2", "Apache-2.0", _of_lab(models)),
        *_named("internvideo2", "MIT; the language models have licences of their own", _of_lab(chats)),
        *_named("internvideo2", "Apache-2.0", _of_lab(encoders), is_part=True),
    ]


_DISTILLED = "InternVideo2_distillation_models"


def _of_lab(models: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    return [(f"OpenGVLab/{name}", size, notes) for name, size, notes in models]


def _named(
    family: str, licence: str, models: list[tuple[str, int, str]], *, is_part: bool = False
) -> list[NamedModel]:
    return [
        NamedModel(
            name=name,
            family=family,
            num_parameters=size,
            licence=licence,
            notes=notes,
            is_part=is_part,
        )
        for name, size, notes in models
    ]
