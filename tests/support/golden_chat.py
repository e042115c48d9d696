"""The chat model of its golden case."""

from typing import Any

from golden_case import GoldenCase
from golden_towers import vision_config

from kinema.hub.files import open_checkpoint
from kinema.hub.lora import LoraConfig, LoraFiles
from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.chat_keys import chat_keymap
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig


def chat_config(content: dict[str, Any]) -> ChatConfig:
    """The sizes of a case, which are named as in the original's config."""
    vision, bridge, language = content["vision"], content["qformer"], content["lm"]
    return ChatConfig(
        vision=vision_config(vision | {"depth": vision["depth"] - 1, "sep_image_video_pos_embed": True}),
        bridge=QFormerConfig(
            memory_size=vision["embed_dim"],
            hidden_size=bridge["hidden_size"],
            intermediate_size=bridge["intermediate_size"],
            num_layers=bridge["num_hidden_layers"],
            num_heads=bridge["num_attention_heads"],
            num_queries=bridge["num_query_token"],
            num_extra_queries=bridge["extra_num_query_token"],
            vocab_size=bridge["vocab_size"],
            max_positions=bridge["max_position_embeddings"],
        ),
        language=DecoderConfig(
            vocab_size=language["vocab_size"],
            hidden_size=language["hidden_size"],
            intermediate_size=language["intermediate_size"],
            num_layers=language["num_hidden_layers"],
            num_heads=language["num_attention_heads"],
            num_kv_heads=language["num_key_value_heads"],
            head_dim=language["hidden_size"] // language["num_attention_heads"],
            max_positions=language["max_position_embeddings"],
            rms_norm_eps=language["rms_norm_eps"],
            rope_theta=language["rope_theta"],
            sliding_window=language["sliding_window"],
        ),
    )


def chat_model(case: GoldenCase) -> InternVideo2Chat:
    """The model of a case, with its low-rank updates merged."""
    config = chat_config(case.config)
    lora = LoraConfig(rank=case.config["lora"]["r"], alpha=case.config["lora"]["alpha"])
    files = LoraFiles(open_checkpoint(case.folder / "weights.safetensors"), config=lora)
    model = InternVideo2Chat(config)
    chat_keymap(config).load_into(model, files)
    return model.eval()
