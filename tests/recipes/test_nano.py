import numpy as np
import torch

import kinema
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.recipes.nano import nano, nano_stages, train_nano
from kinema.recipes.nano_tokenizer import SPECIAL_TOKENS, nano_tokenizer
from kinema.recipes.nano_vision import CLASSES, NOTHING, VisionPretraining, patch_labels, pretrain_vision
from kinema.toybox import make_scene
from kinema.toybox.vocabulary import COLOURS, SHAPES
from kinema.training.init import init_weights


def test_the_stages_are_the_published_ones_with_their_parts_and_settings():
    stages = nano_stages()
    assert [stage.name for stage in stages] == [
        "language",
        "vision_encoder_adaptation",
        "vision_language_alignment",
        "multi_task",
        "video_centric",
    ]
    parts = [set(stage.learning_rates) for stage in stages]
    everything = {"vision_encoder", "connector", "language_model"}
    assert parts == [{"language_model"}, {"vision_encoder", "connector"}, everything, everything, everything]
    assert [stage.processor["image_merge_size"] for stage in stages] == [1, 1, 1, 1, 2]
    pruned = [type(stage.processor["pruning"]).__name__ == "PreviousFramePruning" for stage in stages]
    assert pruned == [False, False, False, True, True]


def test_nano_stays_small():
    with torch.device("meta"):
        model = VideoLLaMA3(nano())
    assert sum(parameter.numel() for parameter in model.parameters()) < 4_000_000


def test_a_word_and_a_time_are_one_token_and_the_header_of_an_answer_is_three():
    tokenizer = nano_tokenizer(num_samples=100)
    assert tokenizer.encode(" circle").tokens == ["Ġcircle"]
    assert tokenizer.encode("Time 2.0s:").tokens == ["Time", "Ġ2.0", "s", ":"]
    assert len(tokenizer.encode("<|im_start|>assistant\n").ids) == 3
    assert all(tokenizer.token_to_id(token) is not None for token in SPECIAL_TOKENS)


def test_patches_are_labelled_with_the_toy_at_their_middle():
    scene = make_scene(3, height=112, width=112)
    toy = scene.toys[0]
    time_s = toy.seconds()[0]
    labels = patch_labels(scene, time_s, 8, 8)
    x, y = toy.position(time_s)
    row, column = int(y * 8), int(x * 8)
    assert labels["shape"][row, column] == 1 + SHAPES.index(toy.shape)
    assert labels["colour"][row, column] == list(COLOURS).index(toy.colour_at(time_s))
    tenths = [int(10 * value) for value in toy.position(time_s)]
    assert [labels["column"][row, column], labels["row"][row, column]] == tenths
    assert labels["shape"][0, 7] == 0  # nothing there, so the patch's own place
    assert [labels["column"][0, 7], labels["row"][0, 7]] == [9, 0]
    assert (labels["shape"] == 0).sum() > 32
    assert np.array_equal(labels["shape"] == 0, labels["colour"] == NOTHING)


def test_the_encoder_learns_to_name_patches():
    model = VideoLLaMA3(nano())
    init_weights(model, 0)
    accuracy = pretrain_vision(model.vision_encoder, VisionPretraining(num_steps=30, batch_size=16))
    assert set(accuracy) == set(CLASSES)
    assert accuracy["colour"] > 2 / len(COLOURS)


def test_the_whole_recipe_runs_and_what_it_saves_answers(tmp_path):
    folder = train_nano(tmp_path, scale=0.001)
    model = kinema.load(folder)
    assert isinstance(model.ask(None, "How many objects are there?", max_new_tokens=4), str)
    assert model.profile.domain == "toybox"
