import json
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.vidal import VidalRecords, clean_title
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import AudioPart, ImagePart, VideoPart
from kinema.toybox import make_scene, short_caption, write_clip

CAPTIONS = [f"key frame {number}" for number in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two films of the toybox with annotations in VIDAL's form; maps are empty files, which nothing opens."""
    root = tmp_path_factory.mktemp("vidal")
    (root / "toys").mkdir()
    content = {}
    for seed in range(2):
        scene, name = make_scene(seed, level=1), f"film{seed}"
        write_clip(scene, root / "toys" / f"{name}.mp4")
        for kind, ending in (("depth_f8glpn", "png"), ("thermal", "jpg")):
            maps = root / "toys" / f"{name}_{kind}_folder"
            maps.mkdir()
            for number in range(8):
                (maps / f"{number}.{ending}").touch()
        content[name] = {
            "folder": "toys",
            "raw": f"Film {seed} #toys",
            "mplug": "a thing",
            "polish_mplug": short_caption(scene),
            "sound_mplug": "a thing that beeps",
            "ofa": CAPTIONS,
        }
    (root / "toys_ffmpeg_mp3").mkdir()
    (root / "toys_ffmpeg_mp3/film0.mp3").touch()
    (root / "toys/film1.wav").touch()
    (root / "toys.json").write_text(json.dumps(content))
    return root


def records(folder: Path, modality: str = "video", **settings) -> VidalRecords:
    return VidalRecords(files=(folder / "toys.json",), media_dir=folder, modality=modality, **settings)


def drawn(data: VidalRecords, index: int, seed: int = 0):
    """What a sample shows, and its text."""
    talk = data.sample(index, np.random.default_rng(seed))
    return talk.messages[0].parts[0], talk.messages[1].text


def test_a_clip_goes_with_its_polished_caption(folder):
    data = records(folder)
    assert len(data) == 2
    expected = VideoPart(source=folder / "toys/film1.mp4")
    assert drawn(data, 1) == (expected, short_caption(make_scene(1, level=1)))
    assert drawn(data, 3) == drawn(data, 1)  # the second round


def test_sound_is_found_where_either_version_keeps_it(folder):
    data = records(folder, "audio", text="sound_mplug")
    assert drawn(data, 0) == (AudioPart(source=folder / "toys_ffmpeg_mp3/film0.mp3"), "a thing that beeps")
    assert drawn(data, 1)[0] == AudioPart(source=folder / "toys/film1.wav")


@pytest.mark.parametrize(("modality", "name"), [("depth", "depth_f8glpn"), ("thermal", "thermal")])
def test_the_caption_of_a_key_frame_goes_with_its_map(folder, modality, name):
    data = records(folder, modality, text="ofa")
    frames = set()
    for seed in range(20):
        part, text = drawn(data, 0, seed)
        assert isinstance(part, ImagePart)
        assert part.modality == modality
        assert part.source.parent.name == f"film0_{name}_folder"
        assert text == f"key frame {part.source.stem}"
        frames.add(part.source.stem)
    assert len(frames) > 4


def test_a_mix_draws_each_kind_of_text_in_a_fifth_of_the_cases(folder):
    texts = [drawn(records(folder, text="mix"), 0, seed)[1] for seed in range(500)]
    assert sum(text in CAPTIONS for text in texts) == pytest.approx(100, abs=30)
    assert texts.count("film 0, toys") == pytest.approx(100, abs=30)
    assert {"a thing", "a thing that beeps", short_caption(make_scene(0, level=1))} <= set(texts)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("My DOG runs! #shorts #cute dog", "my dog runs!, cute dog"),
        ("A cat — at home", "a cat at home,"),
        ("Tips & tricks #Viral #100", "tips tricks, 100"),
    ],
)
def test_titles_lose_words_of_the_platform(raw, cleaned):
    assert clean_title(raw) == cleaned


@pytest.mark.parametrize(
    ("changes", "settings", "said"),
    [
        ({"polish_mplug": None}, {}, r"a.json, record 0: one: there are no words in its 'polish_mplug'"),
        ({"raw": "#shorts"}, {"text": "raw"}, "no words in its 'raw'; it has raw, polish_mplug"),
        ({"ofa": ["a"]}, {"text": "ofa"}, "a list of 8 captions"),
        ({}, {}, r"record 0: one: there is no .*one\.mp4"),
        ({}, {"modality": "audio"}, r"there is no .*_ffmpeg_mp3/one\.mp3 nor .*one\.mp3 nor"),
        ({"folder": 3}, {}, "record 0: one: it must be an object with a 'folder'"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(tmp_path, changes, settings, said):
    record = {"folder": "toys", "polish_mplug": "a thing"} | changes
    (tmp_path / "a.json").write_text(json.dumps({"one": record}))
    settings = {"modality": "video"} | settings
    data = VidalRecords(files=(tmp_path / "a.json",), media_dir=tmp_path, **settings)
    with pytest.raises(DataError, match=said):
        data.sample(0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("content", "said"), [("[]", "object of id to record"), ("{", "JSON"), ("{}", "no record")]
)
def test_files_of_another_form_are_refused(tmp_path, content, said):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=said):
        len(VidalRecords(files=(tmp_path / "a.json",), media_dir=tmp_path, modality="video"))


def test_modalities_and_texts_that_there_are_not_are_refused(folder):
    with pytest.raises(ConfigError, match="modality must be one of video, thermal, depth, audio"):
        records(folder, "smell")
    with pytest.raises(ConfigError, match="text must be one of raw, mplug"):
        records(folder, text="poem")
