"""Stage 2 against the original's numbers, with the golden tolerances."""

import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import stage2_model
from torch.nn import functional as F


@pytest.fixture(scope="module")
def visual(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_stage2_visual")


@pytest.fixture(scope="module")
def hearing(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")


@torch.no_grad()
def test_what_is_seen_and_read_equals_the_original(visual):
    model = stage2_model(visual)
    for kind in ("video", "image"):
        seen = model.see(visual.inputs[kind])
        visual.check(seen.tokens, f"{kind}_embeds")
        visual.check(seen.projection, f"{kind}_proj")
        visual.check(model.vision_encoder.vision_encoder(visual.inputs[kind]).pooled, f"{kind}_pooled")
    text = model.read(visual.inputs["input_ids"], visual.inputs["attention_mask"])
    visual.check(text.tokens, "text_embeds")
    visual.check(text.projection, "text_proj")


@torch.no_grad()
def test_text_in_the_light_of_video_equals_the_original(visual):
    model = stage2_model(visual)
    video = model.see(visual.inputs["video"])
    text = model.read(visual.inputs["input_ids"], visual.inputs["attention_mask"])
    visual.check(model.fuse(video, text), "fusion_embeds")
    visual.check(model.match(video, text), "itm_logits")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["video", "image"])
def test_masked_clips_equal_the_original(visual, kind):
    keep = F.pad(~visual.inputs[f"{kind}_step.visual_mask"], (1, 0), value=True)
    seen = stage2_model(visual).see(visual.inputs[kind], keep)
    visual.check(seen.tokens, f"{kind}_step.vision_embeds")


@torch.no_grad()
def test_unit_vectors_over_the_temperature_equal_the_original(visual):
    model = stage2_model(visual)
    video = model.embed_pixels(visual.inputs["video"])
    text = model.embed_text(visual.inputs["input_ids"], visual.inputs["attention_mask"])
    visual.check(model.logit_scale.exp() * video @ text.T, "sim_v2t_over_temp")


@torch.no_grad()
def test_what_is_heard_equals_the_original(hearing):
    model = stage2_model(hearing)
    features = model.hearing.audio_encoder(hearing.inputs["audio"])
    hearing.check(features, "audio_tower_features")
    hearing.check(features.mean(1), "audio_pooled")
    heard = model.hear(hearing.inputs["audio"])
    hearing.check(heard.tokens, "audio_embeds")
    hearing.check(heard.projection, "audio_proj")
    torch.testing.assert_close(
        model.embed_audio(hearing.inputs["audio"]), F.normalize(heard.projection, dim=-1)
    )


@torch.no_grad()
def test_what_a_hearing_model_sees_equals_the_original(hearing):
    model = stage2_model(hearing)
    for kind in ("video", "image"):
        seen = model.see(hearing.inputs[kind])
        hearing.check(seen.tokens, f"{kind}_embeds")
        hearing.check(seen.projection, f"{kind}_proj")


@torch.no_grad()
def test_text_in_the_light_of_video_sound_and_both_equals_the_original(hearing):
    model = stage2_model(hearing)
    seen, heard = model.see(hearing.inputs["video"]), model.hear(hearing.inputs["audio"])
    both = model.join(seen, heard)
    hearing.check(both.projection, "av_proj")
    torch.testing.assert_close(
        model.embed_audio_video(hearing.inputs["video"], hearing.inputs["audio"]),
        F.normalize(hearing.outputs["av_proj"], dim=-1),
        atol=1e-5,
        rtol=0,
    )
    text = model.read(hearing.inputs["av_caption.input_ids"], hearing.inputs["av_caption.attention_mask"])
    hearing.check(text.tokens, "text_embeds")
    hearing.check(text.projection, "text_proj")
    for name, media in (("video", seen), ("audio", heard), ("audio_video", both)):
        hearing.check(model.fuse(media, text)[:, 0], f"{name}_fusion_cls")
        hearing.check(model.match(media, text), f"{name}_match_logits")


@torch.no_grad()
def test_a_clip_seen_in_segments_equals_the_original(hearing):
    model, clip = stage2_model(hearing), hearing.inputs["video_segments"]
    segments = hearing.config["num_test_segments"]
    hearing.check(model.see(clip, num_segments=segments).tokens, "video_segments_embeds")
    tower = model.vision_encoder.vision_encoder
    pooled = torch.stack([tower(clip[:, first::segments]).pooled for first in range(segments)]).mean(0)
    hearing.check(pooled, "video_segments_pooled")
