"""Clips become real files with all that is known of them, and a broken run goes on where it stopped."""

import json

import av
import numpy as np
import pytest

from kinema.errors import ConfigError, DataError
from kinema.media.probe import probe
from kinema.toybox import make_scene
from kinema.toybox.write import DatasetSettings, write_clip, write_dataset

SMALL = DatasetSettings(height=64, width=64, fps=4.0, num_questions=6)


def read_index(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]


def test_a_clip_is_an_mp4_that_shows_and_sounds_as_its_scene(tmp_path):
    scene = next(s for s in (make_scene(seed, level=2) for seed in range(20)) if s.sounds)
    write_clip(scene, tmp_path / "clip.mp4", fps=4.0)
    with av.open(str(tmp_path / "clip.mp4")) as file:
        assert (file.streams.video[0].codec.name, file.streams.audio[0].codec.name) == ("h264", "aac")
        decoded = {frame.time: frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)}
        file.seek(0)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert list(decoded) == scene.frame_times(4.0)
    drawn = scene.render([1.0])[0].astype(int)
    assert np.abs(decoded[1.0] - drawn).mean() < 6
    start = round(scene.sounds[0].start_s * 16_000)
    assert np.abs(sound[start : start + 8000]).max() > 0.2
    assert np.abs(sound[: start - 4000]).max() < 0.05


def test_a_clip_has_the_same_bytes_every_time(tmp_path):
    """x264's macroblock tree made small clips differ by what memory had held before."""
    scene = make_scene(1, height=64, width=64)
    written = set()
    for run in range(12):
        memory = [bytearray(997 * run + size) for size in range(50)]
        write_clip(scene, tmp_path / "clip.mp4", fps=4.0)
        written.add((tmp_path / "clip.mp4").read_bytes())
        assert len(memory) == 50
    assert len(written) == 1


def test_a_data_set_holds_one_record_a_clip(tmp_path):
    seen = []
    index = write_dataset(tmp_path, 3, SMALL, progress=lambda done, total: seen.append((done, total)))
    records = read_index(tmp_path)
    assert index == tmp_path / "clips.jsonl"
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [record["file"] for record in records] == [f"clips/00000{i}.mp4" for i in range(3)]
    for record in records:
        assert (tmp_path / record["file"]).stat().st_size > 1000
        assert len(record["questions"]) == 6
        assert record["facts"]["level"] == 1
        assert record["video"] == [record["file"]]
        assert record["conversations"][0]["value"] == "<video>\nDescribe the video briefly."
        assert record["conversations"][1] == {"from": "gpt", "value": record["captions"]["short"]}
        assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"] * 8
        assert all(0 <= s["start_s"] < s["end_s"] <= record["duration_s"] for s in record["spans"])


def test_cuts_and_spans_of_films_are_recorded(tmp_path):
    settings = DatasetSettings(level=2, height=64, width=64, fps=2.0, seed=1)
    write_dataset(tmp_path, 1, settings)
    (record,) = read_index(tmp_path)
    scene = make_scene(1, level=2)
    assert [cut["at_s"] for cut in record["cuts"]] == [shot.start_s for shot in scene.shots[1:]]
    texts = {span["text"] for span in record["spans"]}
    assert f"the word {scene.words[0].text} is shown" in texts
    assert f"the {scene.sounds[0].name} is heard" in texts


def test_a_run_that_was_broken_off_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    write_dataset(tmp_path / "whole", 4, SMALL)
    broken = tmp_path / "broken"
    write_dataset(broken, 2, SMALL)
    first = (broken / "clips/000000.mp4").stat().st_mtime_ns
    index = broken / "clips.jsonl"
    index.write_text(index.read_text()[:-20])  # killed in the middle of a line
    (broken / "clips/000002.mp4.1.part").write_bytes(b"killed in the middle of a clip")
    write_dataset(broken, 4, SMALL)
    assert read_index(broken) == read_index(tmp_path / "whole")
    assert (broken / "clips/000000.mp4").stat().st_mtime_ns == first
    for number in range(4):
        name = f"clips/00000{number}.mp4"
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_lost_clip_is_made_again(tmp_path):
    write_dataset(tmp_path, 2, SMALL)
    (tmp_path / "clips/000001.mp4").unlink()
    write_dataset(tmp_path, 2, SMALL)
    assert (tmp_path / "clips/000001.mp4").exists()
    assert len(read_index(tmp_path)) == 2


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    write_dataset(tmp_path, 1, SMALL)
    with pytest.raises(ConfigError, match=r"made with fps=4\.0; ask for the same"):
        write_dataset(tmp_path, 1, DatasetSettings(height=64, width=64, fps=8.0, num_questions=6))


def test_an_index_that_is_not_ours_is_refused(tmp_path):
    write_dataset(tmp_path, 1, SMALL)
    (tmp_path / "clips.jsonl").write_text("[1, 2]\n")
    with pytest.raises(DataError, match="line 1"):
        write_dataset(tmp_path, 2, SMALL)


@pytest.mark.parametrize("changes", [{"height": 63}, {"width": 8}, {"fps": 0.0}])
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError, match="must be"):
        DatasetSettings(**changes)


def test_a_clip_says_in_its_container_that_it_is_of_the_toybox(tmp_path):
    write_clip(make_scene(0), tmp_path / "clip.mp4", fps=2)
    assert (probe(tmp_path / "clip.mp4").comment or "").startswith("kinema toybox")
