"""The published sizes of stage 2 of InternVideo2 (OpenGVLab/InternVideo)."""

from kinema.models.internvideo2.config import stage2_student, vision_1b, vision_6b
from kinema.models.internvideo2.stage2 import SoundConfig, Stage2Config
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.text.bert import BertConfig


def stage2_1b() -> Stage2Config:
    """``InternVideo2-Stage2_1B-224p-f4``: sees and reads, and hears nothing."""
    vision = stage2_student(vision_1b(), has_image_table=True)
    text = BertConfig(memory_size=vision.vision.hidden_size)
    return Stage2Config(vision=vision, text=text, projection_size=512)


def stage2_6b() -> Stage2Config:
    """``internvideo2-s2_6b-224p-f4_with_audio_encoder``: sees, hears and reads."""
    return Stage2Config(
        vision=stage2_student(vision_6b(), has_image_table=False),
        text=BertConfig(memory_size=768),
        projection_size=768,
        sound=SoundConfig(encoder=BEATsConfig()),
    )
