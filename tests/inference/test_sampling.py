import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from kinema.errors import ConfigError
from kinema.inference.sampling import Sampler, SamplingConfig, keep_top_k, keep_top_p, penalise

LOGITS = torch.tensor([2.0, 1.0, -1.0, 0.0])


def random_logits(seed: int) -> torch.Tensor:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(seed)) * 3
    logits[7] = logits[9]
    return logits


def test_greedy_takes_the_likeliest():
    assert Sampler(SamplingConfig())(LOGITS) == 0


def test_a_penalty_divides_positive_logits_and_multiplies_negative_ones():
    assert penalise(LOGITS, [0, 2], 2.0).tolist() == [1.0, 1.0, -2.0, 0.0]


def test_what_was_written_is_penalised_and_the_prompt_only_on_request():
    logits = torch.tensor([2.0, 1.9, 0.0])
    sampler = Sampler(SamplingConfig(repetition_penalty=2.0), prompt_ids=[0])
    assert [sampler(logits), sampler(logits)] == [0, 1]
    sampler = Sampler(SamplingConfig(repetition_penalty=2.0, penalise_prompt=True), prompt_ids=[0])
    assert sampler(logits) == 1


def test_the_same_seed_draws_the_same_and_leaves_global_randomness_alone():
    state = torch.random.get_rng_state()
    draws = [
        [Sampler(SamplingConfig(temperature=1.0, seed=seed))(LOGITS * 0) for seed in range(20)] for _ in "ab"
    ]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 4
    assert torch.equal(torch.random.get_rng_state(), state)


def test_tokens_outside_top_k_are_never_drawn():
    sampler = Sampler(SamplingConfig(temperature=5.0, top_k=2))
    assert {sampler(LOGITS) for _ in range(100)} == {0, 1}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 50, 99])
def test_top_k_equals_transformers(seed, k):
    logits = random_logits(seed)
    assert torch.equal(keep_top_k(logits, k), TopKLogitsWarper(k)(None, logits[None])[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", [1e-6, 0.3, 0.8, 0.999])
def test_top_p_equals_transformers(seed, p):
    logits = random_logits(seed)
    assert torch.equal(keep_top_p(logits, p), TopPLogitsWarper(p)(None, logits[None])[0])


@pytest.mark.parametrize("seed", range(5))
def test_all_rules_together_draw_what_transformers_draws(seed):
    config = SamplingConfig(
        temperature=0.7, top_k=20, top_p=0.8, repetition_penalty=1.1, penalise_prompt=True, seed=seed
    )
    theirs = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.1),
            TemperatureLogitsWarper(0.7),
            TopKLogitsWarper(20),
            TopPLogitsWarper(0.8),
        ]
    )
    prompt = [3, 7, 3]
    sampler, generator, ids = Sampler(config, prompt_ids=prompt), torch.Generator().manual_seed(seed), prompt
    for step in range(8):
        logits = random_logits(100 * seed + step)
        probabilities = theirs(torch.tensor([ids]), logits[None].clone()).softmax(-1)
        expected = int(torch.multinomial(probabilities, 1, generator=generator))
        assert sampler(logits) == expected
        ids = [*ids, expected]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": ("",)}, "stop"),
        ({"stop": "end"}, "stop"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SamplingConfig(**settings)
