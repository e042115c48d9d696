"""What a file of InternVideo2's weights is, told by its keys, and what was published apart from it.

Most published files have no config, and their names tell little: a CLIP model's ``pytorch_model.bin`` holds
14 MB of one model, that of a distilled encoder another whole one.
"""

from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.vision_shapes import Shapes
from kinema.models.parts import MissingPart, vocabulary_part

STAGE2_TYPE = "internvideo2_stage2"
CLIP_TYPE = "internvideo2_clip"
CHAT_TYPE = "internvideo2_chat"
CAPTIONER_TYPE = "internvideo2_captioner"
STUDENT_TYPE = "internvideo2_student"
CLASSIFIER_TYPE = "internvideo2_classifier"
WRITTEN_TYPES = (STAGE2_TYPE, CLIP_TYPE, CHAT_TYPE, CAPTIONER_TYPE, STUDENT_TYPE, CLASSIFIER_TYPE)
"""``model_type`` of the folders we write."""
TOWER_TYPE, VIDEOMAE_TYPE = "internvideo2_tower", "videomae"
"""Of files that hold a teacher; no folder has them."""

_POOL = "clip_projector.cross_attn.q.weight"
_MARKS = (
    (CHAT_TYPE, ("qformer.bert.embeddings.word_embeddings.weight",)),
    (STAGE2_TYPE, (f"{PREFIX}cls_token", "text_encoder.bert.embeddings.word_embeddings.weight")),
    (CLIP_TYPE, (f"{PREFIX}{_POOL}",)),
    (CLASSIFIER_TYPE, ("cls_token", "head.weight")),
    (STUDENT_TYPE, ("cls_token", "clip_decoder.0.norm.weight")),
    (TOWER_TYPE, ("cls_token", _POOL)),
    (VIDEOMAE_TYPE, ("encoder.patch_embed.proj.weight", "encoder.blocks.0.attn.q_bias")),
)
"""What a file is -> keys that it has, and those below it have not. Loading it checks that it is whole."""

_HUB = "OpenGVLab/"
_DISTILLED = f"{_HUB}InternVideo2_distillation_models/stage1/{{0}}/{{0}}_dist_1B_stage2/pytorch_model.bin"
_VISION_OF_WIDTH = {
    384: _DISTILLED.format("S14"),
    768: _DISTILLED.format("B14"),
    1024: _DISTILLED.format("L14"),
    1408: f"{_HUB}InternVideo2-Stage2_1B-224p-f4",
    3200: f"{_HUB}InternVideo2-Stage2_6B-224p-f4",
}
_INTERNVL = f"{_HUB}InternVL/internvl_c_13b_224px.pth"
_MOBILECLIP = "apple/MobileCLIP-B-LT/mobileclip_blt.pt"


def recognise(shapes: Shapes) -> str | None:
    """The ``model_type`` of a file; None if it is none of InternVideo2's."""
    for model_type, keys in _MARKS:
        if all(key in shapes for key in keys):
            return model_type
    return None


def is_trained_part(shapes: Shapes) -> bool:
    """Whether a file of CLIP holds what was trained and nothing else."""
    return f"{PREFIX}{_POOL}" in shapes and f"{PREFIX}cls_token" not in shapes


def parts_of_trained(shapes: Shapes) -> tuple[MissingPart, ...]:
    """The weights that what was trained of a CLIP model lies on."""
    width = shapes[f"{PREFIX}{_POOL}"][0]
    is_small = any(key.startswith("vision_align.") for key in shapes)
    published = _VISION_OF_WIDTH.get(width, "a file of stage 2, or of a distilled encoder")
    text = ("MobileCLIP-B's", _MOBILECLIP) if is_small else ("InternVL-C's", _INTERNVL)
    return (
        MissingPart(name="vision", what="the video encoder it was trained on", published=published),
        MissingPart(name="text", what=f"{text[0]} text tower", published=text[1]),
    )


def vocabulary_of(model_type: str, shapes: Shapes) -> MissingPart:
    """The vocabulary that a file does not have: no published file has any but those of the chat models."""
    if model_type == STAGE2_TYPE:
        return vocabulary_part("BERT's vocabulary", "google-bert/bert-large-uncased")
    if model_type == CHAT_TYPE and any(".tok_embeddings." in key for key in shapes):
        return vocabulary_part("InternLM2.5's vocabulary", "internlm/internlm2_5-7b-chat-1m")
    if model_type == CHAT_TYPE:
        return vocabulary_part("Mistral's vocabulary", "mistralai/Mistral-7B-Instruct-v0.3")
    if any(key.startswith("vision_align.") for key in shapes):
        return vocabulary_part("CLIP's vocabulary", "openai/clip-vit-base-patch32")
    return vocabulary_part("Chinese Alpaca's vocabulary", "ziqingyang/chinese-alpaca-lora-7b")
