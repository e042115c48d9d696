"""VideoLLaMA3's ``config.json``: read in the official and in transformers' form, and written in both.

What a config asks for and the architecture does not have is refused by name, never skipped.
"""

from collections.abc import Mapping
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.models.decoder_json import TIED, decoder_fields, parse_decoder_config, parse_rope_theta
from kinema.models.family_names import named_type
from kinema.models.videollama3.config import VideoLLaMA3Config, siglip_navit
from kinema.models.videollama3.keys import Layout
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.tokenizer import TextTokenizer

OFFICIAL_TYPE = "videollama3_qwen2"
TRANSFORMERS_TYPE = "video_llama_3"
ENCODER_TYPE = "videollama3_vision_encoder"
PUBLISHED_ENCODERS = ("DAMO-NLP-SG/SigLIP-NaViT", "DAMO-NLP-SG/VL3-SigLIP-NaViT")


def parse_config(content: Mapping[str, Any]) -> VideoLLaMA3Config:
    """The sizes of a model, from its ``config.json``.

    Raises:
        WeightsError: if it is of another family, lacks a field, or asks for what the architecture has not.
    """
    model_type = content.get("model_type")
    if model_type == OFFICIAL_TYPE:
        expect_field(content, "mm_projector_type", "mlp2x_gelu")
        return VideoLLaMA3Config(
            vision=_official_vision(content), language=parse_decoder_config(content, attention_bias=True)
        )
    if model_type == TRANSFORMERS_TYPE:
        text = dict(required_field(content, "text_config"))
        text[TIED] = bool(content.get(TIED) or text.get(TIED))
        vision = parse_vision_config(required_field(content, "vision_config"))
        return VideoLLaMA3Config(vision=vision, language=parse_decoder_config(text, attention_bias=True))
    raise WeightsError(
        f"model_type {named_type(content)} is not VideoLLaMA3, which is {OFFICIAL_TYPE!r} or "
        f"{TRANSFORMERS_TYPE!r}."
    )


def parse_vision_config(content: Mapping[str, Any]) -> NaViTConfig:
    """The sizes of the encoder, from its own ``config.json`` or the part of a model's.

    A ``config.json`` of stock SigLIP is read through its ``vision_config``.
    """
    content = content.get("vision_config", content)
    expect_field(content, "num_channels", 3)
    expect_field(content, "hidden_act", "gelu_pytorch_tanh")
    return NaViTConfig(
        hidden_size=required_field(content, "hidden_size"),
        intermediate_size=required_field(content, "intermediate_size"),
        num_layers=required_field(content, "num_hidden_layers"),
        num_heads=required_field(content, "num_attention_heads"),
        patch_size=required_field(content, "patch_size"),
        layer_norm_eps=content.get("layer_norm_eps", 1e-6),
        rope_theta=parse_rope_theta(content, kind="axial", default=10000.0),
    )


def write_config(
    config: VideoLLaMA3Config,
    layout: Layout,
    tokenizer: TextTokenizer,
    *,
    dtype: str,
    use_token_compression: bool,
) -> dict[str, Any]:
    """The ``config.json`` of a model, which the code that made the layout reads.

    It names no code to run (``auto_map``), for none is shipped.

    Args:
        config: the sizes.
        layout: whose form.
        tokenizer: has the special tokens, whose ids the file states.
        dtype: of the weights, such as ``"bfloat16"``.
        use_token_compression: whether video tokens are pruned; transformers has it in another file.
    """
    ends = {
        "bos_token_id": tokenizer.special_id("<|endoftext|>"),
        "eos_token_id": tokenizer.special_id("<|im_end|>"),
    }
    tied = config.language.tie_word_embeddings
    if layout is Layout.TRANSFORMERS:
        rope = {"rope_type": "default", "rope_theta": config.language.rope_theta}
        text = {"model_type": "qwen2", **_decoder_fields(config.language), "rope_parameters": rope, **ends}
        axial = {"rope_type": "axial", "rope_theta": config.vision.rope_theta}
        vision = {"model_type": "video_llama_3_vision", **_vision_fields(config.vision)}
        return {
            "architectures": ["VideoLlama3ForConditionalGeneration"],
            "model_type": TRANSFORMERS_TYPE,
            "image_token_id": tokenizer.special_id("<|image_pad|>"),
            "video_token_id": tokenizer.special_id("<|video_pad|>"),
            TIED: tied,
            "text_config": text,
            "vision_config": {**vision, "rope_parameters": axial},
            "dtype": dtype,
        }
    return {
        "architectures": ["Videollama3Qwen2ForCausalLM"],
        "model_type": OFFICIAL_TYPE,
        **_decoder_fields(config.language),
        "rope_theta": config.language.rope_theta,
        "rope_scaling": None,
        "image_token_index": tokenizer.special_id("<image>"),
        "mm_projector_type": "mlp2x_gelu",
        "use_token_compression": use_token_compression,
        "vision_encoder": PUBLISHED_ENCODERS[0] if layout is Layout.TRAINER else None,
        "vision_encoder_config": {"model_type": ENCODER_TYPE, **_vision_fields(config.vision)},
        **ends,
        "torch_dtype": dtype,
    }


def _official_vision(content: Mapping[str, Any]) -> NaViTConfig:
    """The trainer writes the encoder's repository in place of its sizes."""
    if content.get("vision_encoder_config"):
        return parse_vision_config(content["vision_encoder_config"])
    if content.get("vision_encoder") in PUBLISHED_ENCODERS:
        return siglip_navit()
    raise WeightsError(
        f"config.json has no vision_encoder_config, and vision_encoder {content.get('vision_encoder')!r} "
        f"is none of {', '.join(PUBLISHED_ENCODERS)}; copy that encoder's config.json there."
    )


def _decoder_fields(config: DecoderConfig) -> dict[str, Any]:
    return {**decoder_fields(config), "use_sliding_window": False, "sliding_window": None}


def _vision_fields(config: NaViTConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_channels": 3,
        "patch_size": config.patch_size,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": config.layer_norm_eps,
        "attention_dropout": 0.0,
    }
