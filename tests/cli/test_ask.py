import json
import shutil

import numpy as np
import pytest
from command_line import run
from PIL import Image

import kinema
from kinema.cli.frames import STRIP
from kinema.hub.card import ModelCard
from kinema.media.write import write_video
from kinema.processors.messages import VideoPart

SHORT = ("--max-new-tokens", 4)


def test_the_answer_is_that_of_the_library_and_alone_on_stdout(clip, model_folder):
    expected = kinema.load(model_folder).ask(str(clip), "What moves?", max_new_tokens=4)
    outcome = run("ask", clip, "What moves?", "--model", model_folder, *SHORT)
    assert outcome.exit_code == 0
    assert outcome.stdout == expected + "\n"
    assert outcome.stderr == ""


def test_a_streamed_answer_is_the_same_text_with_a_note_of_what_it_took(clip, model_folder):
    whole = run("ask", clip, "What moves?", "--model", model_folder, *SHORT)
    streamed = run("ask", clip, "What moves?", "--model", model_folder, "--stream", *SHORT)
    assert streamed.stdout == whole.stdout
    assert "6 frames" in streamed.stderr
    assert "of 96 visual tokens kept, 4 tokens written" in streamed.stderr


def test_json_is_one_document_with_the_answer_the_frames_and_the_cost(clip, model_folder):
    document = run("ask", clip, "What moves?", "--model", model_folder, "--json", *SHORT).document
    assert document.keys() == {"model", "question", "answer", "media", "usage"}
    assert document["question"] == "What moves?"
    (video,) = document["media"]
    assert video["name"] == str(clip)
    assert [frame["time_s"] for frame in video["frames"]] == [0, 1, 2, 3, 4, 5]
    assert video["frames"][0]["kept_tokens"] == 16
    assert video["tokens"] == 96
    assert document["usage"]["new_tokens"] == 4
    assert document["usage"]["kept_tokens"] == sum(frame["kept_tokens"] for frame in video["frames"])


def test_without_a_question_the_video_is_described(clip, model_folder):
    asked = run("ask", clip, "--model", model_folder, "--json", *SHORT).document
    captioned = run("caption", clip, "--model", model_folder, "--json", *SHORT).document
    assert asked["question"] == captioned["question"] == "Describe the video in detail."
    assert asked["answer"] == captioned["answer"]


def test_options_choose_the_frames(clip, model_folder):
    options = ("--fps", 2, "--start", 1, "--end", 4, "--max-frames", 3)
    document = run("ask", clip, "What?", "--model", model_folder, "--json", *options, *SHORT).document
    times_s = [frame["time_s"] for frame in document["media"][0]["frames"]]
    assert len(times_s) == 3
    assert min(times_s) >= 1
    assert max(times_s) < 4


def test_several_media_are_shown_in_order(clip, model_folder, tmp_path):
    picture = tmp_path / "red.png"
    Image.new("RGB", (56, 56), "red").save(picture)
    document = run(
        "ask", clip, "Same?", "--also", picture, "--model", model_folder, "--json", *SHORT
    ).document
    assert [(item["name"], item["kind"]) for item in document["media"]] == [
        (str(clip), "video"),
        (str(picture), "image"),
    ]


def test_an_answer_drawn_at_random_follows_its_seed(clip, model_folder):
    drawn = ("ask", clip, "What?", "--model", model_folder, "--temperature", 5, *SHORT)
    first, again, other = (run(*drawn, "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == again != other


def test_frames_to_writes_what_the_model_saw(clip, model_folder, tmp_path):
    folder = tmp_path / "seen"
    outcome = run("ask", clip, "?", "--model", model_folder, "--max-frames", 3, "--frames-to", folder, *SHORT)
    assert outcome.exit_code == 0
    (item,) = json.loads((folder / "index.json").read_text())["items"]
    seen = kinema.load(model_folder).processor.encode_video(VideoPart(source=str(clip), max_frames=3))
    assert [frame["time_s"] for frame in item["frames"]] == list(seen.items[0].times_s)
    for frame, pixels, kept in zip(
        item["frames"], seen.frames(0), seen.items[0].tokens_per_frame, strict=True
    ):
        picture = np.asarray(Image.open(folder / frame["file"]))
        height, width, _ = pixels.shape
        assert picture.shape == (height + STRIP, width, 3)
        assert picture[height:].any(), "the time is written below"
        assert frame["kept_tokens"] == kept == "".join(frame["blocks"]).count("#")
        is_kept = np.array([[block == "#" for block in row] for row in frame["blocks"]])
        is_read = is_kept.repeat(28, axis=0).repeat(28, axis=1)
        np.testing.assert_array_equal(picture[:height][is_read], pixels[is_read])
        assert is_kept.all() or (picture[:height][~is_read] != pixels[~is_read]).any(), "crossed out"


def test_frames_of_two_runs_are_never_mixed(clip, model_folder, tmp_path):
    (tmp_path / "00-0000.png").touch()
    outcome = run("ask", clip, "?", "--model", model_folder, "--frames-to", tmp_path)
    assert outcome.exit_code == 2
    assert "name a new or an empty folder" in outcome.stderr


def test_locate_prints_the_spans_of_the_library(clip, model_folder):
    document = run("locate", clip, "the red circle", "--model", model_folder, "--json", *SHORT).document
    spans = kinema.load(model_folder).locate(str(clip), "the red circle", max_new_tokens=4)
    assert document["event"] == "the red circle"
    assert [span["start_s"] for span in document["spans"]] == [span.start_s for span in spans]


def test_plan_forecasts_without_loading(clip, model_folder):
    forecast = kinema.load(model_folder).plan(str(clip), "What?", max_new_tokens=4)
    document = run("plan", clip, "What?", "--model", model_folder, "--json", *SHORT).document
    assert document["prompt_tokens"] == forecast.prompt_tokens
    assert document["visual_tokens"] == 96
    assert document["memory_bytes"]["peak"] == forecast.memory.peak
    printed = run("plan", clip, "What?", "--model", model_folder, *SHORT).stdout
    assert f"{forecast.prompt_tokens} tokens, 96 of them visual" in printed


def test_a_plan_that_does_not_fit_says_so_in_its_exit_code(clip, model_folder):
    outcome = run("plan", clip, "What?", "--model", model_folder, "--max-new-tokens", 40_000)
    assert outcome.exit_code == 5
    assert "will not fit: the prompt is" in outcome.stdout


@pytest.mark.parametrize("setting", ["max_frames", "max_tokens"])
def test_a_plan_names_the_settings_that_make_it_fit(setting, model_folder, tmp_path, monkeypatch):
    clip = tmp_path / "large.mp4"
    write_video(clip, np.zeros((20, 336, 448, 3), np.uint8), fps=1)

    def planned(*options):
        return run("plan", clip, "What?", "--model", model_folder, "--device", "cpu", *options)

    peak = planned("--json").document["memory_bytes"]["peak"]
    monkeypatch.setattr("kinema.inference.plan.free_bytes", lambda device: peak - 10_000_000)
    refused = planned("--json")
    value = refused.document["remedies"][setting]
    option = f"--{setting.replace('_', '-')}"
    assert refused.exit_code == 5
    assert planned(option, value).exit_code == 0
    assert planned(option, value + 1).exit_code == 5
    assert f"{setting}={value}" in planned().stdout


def test_what_does_not_fit_is_not_begun_and_the_error_names_what_fits(clip, model_folder):
    outcome = run("ask", clip, "What?", "--model", model_folder, "--max-new-tokens", 40_000)
    assert outcome.exit_code == 5
    assert "It fits with max_new_tokens=" in outcome.stderr


@pytest.mark.parametrize("command", ["ask", "caption", "plan", "chat"])
def test_a_missing_file_is_one_line_before_any_model_is_loaded(command, tmp_path):
    outcome = run(command, tmp_path / "no.mp4", "--model", tmp_path / "no model")
    assert outcome.exit_code == 3
    assert outcome.stderr == f"error: {tmp_path / 'no.mp4'}: there is no such file.\n"
    assert outcome.stdout == ""


def test_a_file_that_is_no_video_is_one_line(model_folder, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a video, " * 100)
    outcome = run("ask", path, "What?", "--model", model_folder, "--json")
    assert outcome.exit_code == 3
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"error: {path}: ")
    assert outcome.stderr.count("\n") == 1


def test_a_model_that_is_neither_folder_nor_hub_id_is_one_line(clip):
    outcome = run("ask", clip, "What?", "--model", "nona")
    assert outcome.exit_code == 4
    assert outcome.stderr == "error: nona is neither a folder nor a hub id of the form owner/name.\n"


def test_offline_a_model_that_is_not_cached_is_not_fetched(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    outcome = run("ask", clip, "What?", "--model", "nobody/nothing", "--offline")
    assert outcome.exit_code == 4
    assert "offline is set" in outcome.stderr


def test_a_time_after_the_end_is_told(clip, model_folder):
    outcome = run("ask", clip, "What?", "--model", model_folder, "--start", 60)
    assert outcome.exit_code == 2
    assert "the video ends at 6.000 s" in outcome.stderr


def test_a_model_of_the_toybox_says_so_of_any_other_video(clip, model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    ModelCard(title="Toy", metadata={"kinema": {"domain": "toybox"}}).save(folder)
    write_video(tmp_path / "other.mp4", np.zeros((10, 56, 56, 3), np.uint8), fps=10)
    known = run("ask", clip, "What?", "--model", folder, *SHORT)
    strange = run("ask", tmp_path / "other.mp4", "What?", "--model", folder, *SHORT)
    assert known.stderr == ""
    assert strange.exit_code == 0
    assert strange.stderr.startswith("warning: this model knows only the toybox")
    assert "VideoLLaMA3" in strange.stderr
    assert strange.stderr.count("\n") == 1


def test_debug_shows_the_trace_and_keeps_the_exit_code(tmp_path):
    outcome = run("ask", tmp_path / "no.mp4", "--debug")
    assert outcome.exit_code == 3
    assert "Traceback (most recent call last)" in outcome.stderr
    assert outcome.stderr.endswith(f"error: {tmp_path / 'no.mp4'}: there is no such file.\n")
