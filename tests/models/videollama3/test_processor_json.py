import json
import shutil
from dataclasses import replace

import pytest

from kinema.errors import WeightsError
from kinema.models.videollama3.keys import Layout
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.models.videollama3.processor_json import load_processor, save_processor
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.processors.resize import OfficialResize, TransformersResize


def folder_with(folder, target, **files):
    """A copy of a checkpoint folder with JSON files replaced."""
    shutil.copytree(folder, target)
    for name, content in files.items():
        (target / f"{name}.json").write_text(json.dumps(content))
    return target


def test_the_official_files_are_read(official_folder, tmp_path):
    folder = folder_with(
        official_folder,
        tmp_path / "model",
        preprocessor_config={"min_tokens": 4, "max_tokens": 1000, "patch_size": 14, "image_mean": [0.5] * 3},
        processor_config={"fps": 2, "max_frames": 128, "image_merge_size": 2, "video_merge_size": 2},
    )
    config = load_processor(folder).config
    assert config.resize == OfficialResize(min_tokens=4, max_tokens=1000)
    assert (config.reading.fps, config.reading.max_frames) == (2, 128)
    assert (config.image_merge_size, config.video_merge_size) == (2, 2)


def test_files_that_are_absent_leave_the_values_of_the_released_models(official_folder):
    config = load_processor(official_folder).config
    assert config.resize == OfficialResize(min_tokens=16, max_tokens=16384)
    assert (config.image_merge_size, config.video_merge_size) == (1, 2)


@pytest.mark.parametrize(("pruned", "pruning"), [(True, PreviousFramePruning()), (False, NoPruning())])
def test_the_official_config_says_whether_tokens_are_pruned(official_folder, tmp_path, pruned, pruning):
    config = json.loads((official_folder / "config.json").read_text()) | {"use_token_compression": pruned}
    folder = folder_with(official_folder, tmp_path / "model", config=config)
    assert load_processor(folder).config.pruning == pruning


def test_pixels_of_transformers_files_are_counted_as_tokens(transformers_folder, tmp_path):
    # The published files, reference sheet section 8.3.
    folder = folder_with(
        transformers_folder,
        tmp_path / "model",
        preprocessor_config={"min_pixels": 3136, "max_pixels": 3211264, "merge_size": 1},
        video_preprocessor_config={
            "size": {"shortest_edge": 12544, "longest_edge": 12845056},
            "merge_size": 2,
            "max_frames": 180,
            "use_token_compression": False,
        },
    )
    assert load_processor(folder).config.resize == OfficialResize(min_tokens=16, max_tokens=16384)
    config = load_processor(folder, compat="transformers").config
    assert config.resize == TransformersResize(min_tokens=16, max_tokens=16384)
    assert config.pruning == NoPruning()


def test_transformers_5_nests_both_parts_in_one_file(transformers_folder, tmp_path):
    nested = {
        "image_processor": {"size": {"shortest_edge": 196, "longest_edge": 19600}, "merge_size": 1},
        "video_processor": {"size": {"shortest_edge": 784, "longest_edge": 78400}, "merge_size": 2},
    }
    folder = folder_with(transformers_folder, tmp_path / "model", processor_config=nested)
    assert load_processor(folder).config.resize == OfficialResize(min_tokens=1, max_tokens=100)
    nested["video_processor"]["size"]["longest_edge"] = 7840
    (folder / "processor_config.json").write_text(json.dumps(nested))
    with pytest.raises(WeightsError, match=r"one budget for both"):
        load_processor(folder)


def test_pixels_made_in_another_way_are_refused(official_folder, tmp_path):
    clip_mean = {"image_mean": [0.48145466, 0.4578275, 0.40821073]}
    folder = folder_with(official_folder, tmp_path / "model", preprocessor_config=clip_mean)
    with pytest.raises(WeightsError, match=r"image_mean is \[0\.48"):
        load_processor(folder)


@pytest.mark.parametrize("layout", Layout)
def test_what_was_saved_is_read_again(official_folder, tmp_path, layout):
    processor = load_processor(official_folder)
    changed = replace(
        processor.config,
        resize=OfficialResize(min_tokens=4, max_tokens=256),
        reading=replace(processor.config.reading, fps=2.0, max_frames=8),
        image_merge_size=2,
    )
    folder = folder_with(official_folder, tmp_path / "model")
    save_processor(VideoLLaMA3Processor(processor.tokenizer, changed), folder, layout)
    if layout is Layout.TRANSFORMERS:
        (folder / "config.json").write_text('{"model_type": "video_llama_3"}')
    again = load_processor(folder)
    assert again.config == changed
    text = "What is <image> 2 x 3?"
    assert again.tokenizer.encode(text) == processor.tokenizer.encode(text)


def without_official_tokens(folder, target):
    """A checkpoint with the plain tokenizer of Qwen2.5, as transformers' conversions have it."""
    shutil.copytree(folder, target)
    official = ("<image>", "<|stream_start|>", "<|stream_end|>")
    path = target / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in official]
    path.write_text(json.dumps(content), encoding="utf-8")
    (target / "tokenizer_config.json").unlink()
    return target


def test_a_plain_tokenizer_uses_the_placeholders_it_has(transformers_folder, tmp_path):
    folder = without_official_tokens(transformers_folder, tmp_path / "plain")
    processor = load_processor(folder)
    assert not processor.tokenizer.has("<image>")
    assert processor.config.template.image_token == "<|image_pad|>"
    assert processor.config.template.video_token == "<|video_pad|>"


def test_a_plain_tokenizer_gets_the_official_tokens_at_their_ids(transformers_folder, tmp_path):
    official = load_processor(transformers_folder).tokenizer
    folder = without_official_tokens(transformers_folder, tmp_path / "plain")
    saved = save_processor(load_processor(folder), folder, Layout.OFFICIAL)
    for token in ("<image>", "<|stream_start|>", "<|stream_end|>"):
        assert saved.tokenizer.special_id(token) == official.special_id(token)


def test_pruning_that_the_files_cannot_state_is_not_saved_as_another(official_folder, tmp_path):
    processor = load_processor(official_folder)
    strict = replace(processor.config, pruning=PreviousFramePruning(threshold=5.0))
    with pytest.raises(WeightsError, match=r"no place for PreviousFramePruning\(threshold=5\.0"):
        save_processor(VideoLLaMA3Processor(processor.tokenizer, strict), tmp_path, Layout.OFFICIAL)
