from dataclasses import replace

import pytest
import torch
from numbered_clips import tone
from small_captioner import NUM_QUERIES, captioner_config, small_captioner, small_captioner_processor

from kinema.errors import ConfigError, InputError
from kinema.models.internvideo2.captioner import AudioCaptioner
from kinema.processors.messages import AudioPart, Conversation, Message, TextPart
from kinema.processors.query_inputs import QueryInputs, SoundInputs
from kinema.training.losses import NextToken
from kinema.training.optimizer import OptimizerConfig, build_optimizer


def talk(*parts, answer=None):
    messages = [Message(role="user", parts=(*parts, TextPart(text="what")))]
    if answer is not None:
        messages.append(Message(role="assistant", parts=(TextPart(text=answer),)))
    return Conversation(messages=tuple(messages))


def test_every_window_becomes_as_many_tokens_as_there_are_queries():
    model = small_captioner()
    found = model.look(torch.randn(3, 98, 32))
    assert found.shape == (3, NUM_QUERIES, 32)


@torch.no_grad()
def test_sounds_of_a_batch_are_heard_together_as_each_is_alone():
    model = small_captioner()
    one, two = torch.randn(1, 98, 32), torch.randn(2, 98, 32)

    def hear(*items, max_patches=None):
        inputs = SoundInputs(items=items, tokens_per_view=NUM_QUERIES)
        return model.encode_visual(inputs, max_patches=max_patches)

    together = hear(one, two)
    torch.testing.assert_close(together, torch.cat([hear(one), hear(two)]))
    assert model.patches_per_view(one) == 12  # six times in two bands
    torch.testing.assert_close(hear(one, two, max_patches=13), together)


def test_pictures_are_refused_by_what_hears():
    pictures = QueryInputs(items=(torch.zeros(1, 1, 3, 16, 16),), tokens_per_view=NUM_QUERIES)
    with pytest.raises(InputError, match="takes SoundInputs, got QueryInputs"):
        small_captioner().encode_visual(pictures)


def test_what_is_heard_changes_the_next_words():
    model, processor = small_captioner(), small_captioner_processor()
    low, high = (
        processor(talk(AudioPart(source=tone(1.0, sample_rate=rate))), add_generation_prompt=True)
        for rate in (16_000, 8_000)
    )
    again = processor(talk(AudioPart(source=tone(1.0))), add_generation_prompt=True)
    with torch.no_grad():
        assert torch.equal(model(low), model(again))
        shifted = replace(low, visual=replace(high.visual, items=(high.visual.items[0].flip(2),)))
        assert not torch.allclose(model(low)[0, -1], model(shifted)[0, -1], atol=1e-3)


def test_the_bridge_alone_learns_as_the_paper_has_it():
    model, processor = small_captioner(), small_captioner_processor()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(model, {"connector": 1e-2, "up_projection": 1e-2}, OptimizerConfig())
    inputs = processor([talk(AudioPart(source=tone(1.0)), answer="a cat")], with_labels=True)
    losses = []
    for _ in range(12):
        loss = NextToken()(model, inputs)
        loss.backward()
        optimizer.step(1.0)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    changed = {
        name.split(".")[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"connector", "up_projection"}


def test_a_bridge_that_looks_at_another_width_is_refused():
    config = captioner_config()
    with pytest.raises(ConfigError, match="memory_size must be 16, got 24"):
        AudioCaptioner(replace(config, bridge=replace(config.bridge, memory_size=24)))
