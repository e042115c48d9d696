from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer

from kinema.inference.cache import BatchCache, GrowingCache, StaticCache
from kinema.inference.generate import Answer, decode, prefill, write_answers
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.modules.language.decoder import Decoder

DRAWN = SamplingConfig(max_new_tokens=30, temperature=1.0)
PROMPTS = [[1, 2, 3, 4, 5, 6, 7], [8, 9], [10, 11, 12, 13]]


@pytest.fixture(scope="module")
def tokenizer(golden_dir):
    return Tokenizer.from_file(str(golden_dir / "videollama3/tokenizer/tokenizer.json"))


def read(decoder, prompt, cache, chunk=None):
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        embeds = decoder.embed(ids)
    return prefill(
        decoder, embeds, torch.arange(cache.length, cache.length + len(prompt))[None], cache, chunk=chunk
    )


def write(decoder, logits, cache, positions, config, tokenizer, eos_ids=()):
    answers = [Answer(tokenizer, config, eos_ids) for _ in logits]
    steps = decode(decoder, logits, cache, torch.tensor(positions), [Sampler(config) for _ in logits])
    shown = list(write_answers(steps, answers))
    return answers, shown


def answer(decoder, prompt, config, tokenizer, **options) -> Answer:
    cache = GrowingCache(decoder.config, 1)
    logits = read(decoder, prompt, cache)
    return write(decoder, logits, cache, [len(prompt)], config, tokenizer, **options)[0][0]


@pytest.mark.parametrize("config", [replace(DRAWN, temperature=0.0), DRAWN])
def test_a_batch_writes_what_each_row_writes_alone(decoder, tokenizer, config):
    cache = BatchCache(decoder.config, [len(prompt) for prompt in PROMPTS], room=30)
    logits = torch.cat([read(decoder, prompt, cache.row(index)) for index, prompt in enumerate(PROMPTS)])
    together, _ = write(decoder, logits, cache, [len(prompt) for prompt in PROMPTS], config, tokenizer)
    alone = [answer(decoder, prompt, config, tokenizer) for prompt in PROMPTS]
    assert [row.tokens for row in together] == [row.tokens for row in alone]


def test_a_sliding_window_sees_as_far_in_a_batch_as_alone(network, tokenizer):
    torch.manual_seed(1)
    windowed = Decoder(replace(network.language_model.config, sliding_window=3)).eval()
    test_a_batch_writes_what_each_row_writes_alone(windowed, tokenizer, DRAWN)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_a_prompt_read_in_pieces_gives_the_same_numbers(decoder, chunk):
    whole = read(decoder, PROMPTS[0], StaticCache(decoder.config, 7))
    in_pieces = read(decoder, PROMPTS[0], StaticCache(decoder.config, 7), chunk=chunk)
    torch.testing.assert_close(in_pieces, whole, atol=1e-5, rtol=0)


def test_static_and_growing_caches_write_the_same(decoder, tokenizer):
    config = SamplingConfig(max_new_tokens=20)
    answers = []
    for cache in (StaticCache(decoder.config, 27), GrowingCache(decoder.config, 1)):
        logits = read(decoder, PROMPTS[0], cache)
        answers.append(write(decoder, logits, cache, [7], config, tokenizer)[0][0].tokens)
    assert answers[0] == answers[1]


def test_a_truncated_cache_goes_on_as_if_the_rest_had_never_been(decoder):
    cache = GrowingCache(decoder.config)
    read(decoder, [1, 2, 3, 9, 9, 9], cache)
    cache.truncate_to(3)
    again = read(decoder, [4, 5, 6, 7], cache)
    torch.testing.assert_close(
        again, read(decoder, PROMPTS[0], GrowingCache(decoder.config)), atol=1e-5, rtol=0
    )


def test_pieces_together_are_the_answer_and_the_answer_is_what_the_tokens_say(decoder, tokenizer):
    cache = GrowingCache(decoder.config)
    answers, shown = write(decoder, read(decoder, PROMPTS[0], cache), cache, [7], DRAWN, tokenizer)
    assert "".join(row[0] for row in shown) == answers[0].text == tokenizer.decode(answers[0].tokens)
    assert answers[0].finish_reason == "length"


def test_an_answer_ends_at_the_end_of_turn_token(decoder, tokenizer):
    long = answer(decoder, PROMPTS[0], DRAWN, tokenizer)
    end = long.tokens[4]
    short = answer(decoder, PROMPTS[0], DRAWN, tokenizer, eos_ids={end})
    cut = long.tokens.index(end)
    assert short.tokens == long.tokens[: cut + 1]
    assert short.text == tokenizer.decode(long.tokens[:cut])
    assert short.finish_reason == "eos"


def test_an_answer_ends_before_a_stop_string_across_tokens(decoder, tokenizer):
    long = answer(decoder, PROMPTS[0], DRAWN, tokenizer)
    stop = long.text[3:7]
    short = answer(decoder, PROMPTS[0], replace(DRAWN, stop=(stop,)), tokenizer)
    assert short.text == long.text.split(stop)[0]
    assert short.finish_reason == "stop"


def test_the_probability_of_an_answer_is_the_mean_over_its_tokens(decoder, tokenizer):
    result = answer(decoder, PROMPTS[0], SamplingConfig(max_new_tokens=2), tokenizer)
    first = read(decoder, PROMPTS[0], GrowingCache(decoder.config)).softmax(-1).max()
    second = read(decoder, [*PROMPTS[0], result.tokens[0]], GrowingCache(decoder.config)).softmax(-1).max()
    assert result.probability == pytest.approx(float(first + second) / 2, abs=1e-6)
