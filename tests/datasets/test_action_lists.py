from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.action_lists import COLLECTIONS, FRAMES, INTERVALS, ActionList, open_lists
from kinema.datasets.drawn_once import DrawnOnce
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import TextPart, VideoPart

RNG = np.random.default_rng(0)


def listed(folder, text, **settings):
    file = folder / "train.csv"
    file.write_text(text)
    return ActionList(file=file, media_dir=Path("data"), **settings)


def clip_and_label(data, index=0):
    user, answer = data.sample(index, RNG).messages
    return user.parts[-1], answer.text


def test_a_line_is_a_video_and_the_number_of_its_class(tmp_path):
    data = listed(tmp_path, "jump/1.mp4 17\n\nrun/2.mp4 0\n")
    assert len(data) == 2
    assert clip_and_label(data, 1) == (VideoPart(source=Path("data/run/2.mp4")), "0")


def test_a_comma_may_separate_so_that_a_path_may_have_blanks(tmp_path):
    data = listed(tmp_path, "high jump/1.mp4,17\n", separator=",")
    assert clip_and_label(data) == (VideoPart(source=Path("data/high jump/1.mp4")), "17")


def test_a_folder_of_frames_is_listed_frame_by_frame(tmp_path):
    data = listed(tmp_path, "20218 3 17\n", columns=FRAMES, frame_name="{:05}.jpg")
    names = ["data/20218/00001.jpg", "data/20218/00002.jpg", "data/20218/00003.jpg"]
    assert clip_and_label(data) == (VideoPart(source=names), "17")


def test_a_part_of_a_video_is_meant_unless_its_times_are_minus_one(tmp_path):
    data = listed(tmp_path, "1.mp4 31.5 4.0 9.5 17\n1.mp4 -1 -1 -1 3\n", columns=INTERVALS)
    source = Path("data/1.mp4")
    assert clip_and_label(data, 0) == (VideoPart(source=source, start_s=4.0, end_s=9.5), "17")
    assert clip_and_label(data, 1) == (VideoPart(source=source), "3")


def test_the_collection_stands_beside_the_clip(tmp_path):
    data = listed(tmp_path, "ssv2 1.mp4 -1 -1 -1 17\n", columns=COLLECTIONS)
    assert data.sample(0, RNG).messages[0].parts == (
        TextPart(text="ssv2"),
        VideoPart(source=Path("data/1.mp4")),
    )


@pytest.mark.parametrize(
    ("line", "columns", "complaint"),
    [
        ("1.mp4", ("path", "label"), "it has 1 columns, expected path, label"),
        ("1.mp4 two", ("path", "label"), "the label must be a whole number from 0, got 'two'"),
        ("1.mp4 -1", ("path", "label"), "the label must be a whole number from 0, got '-1'"),
        ("1.mp4 5", ("path", "label"), "label 5 is none of the classes 0 to 4"),
        (" 1", ("path", "label"), "it names no file"),
        ("1 0 1", FRAMES, "a folder of 0 frames"),
        ("1.mp4 9 4 soon 1", INTERVALS, "'soon' is no time in seconds"),
        ("1.mp4 9 4 nan 1", INTERVALS, "a time is from 0, or -1"),
        ("1.mp4 9 4 4 1", INTERVALS, r"it ends at 4\.0 s and starts at 4\.0 s"),
    ],
)
def test_a_bad_line_is_an_error_with_file_and_line(tmp_path, line, columns, complaint):
    good = " ".join({"path": "1.mp4", "label": "1"}.get(column, "2") for column in columns)
    good = good.replace("2 2 2", "9 2 3")
    data = listed(tmp_path, f"{good}\n\n{line}\n", columns=columns, num_classes=5)
    with pytest.raises(DataError, match=rf"train\.csv, line 3: .*{complaint}"):
        len(data)


def test_a_list_of_nothing_and_columns_without_a_label_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"train\.csv: there is no line"):
        len(listed(tmp_path, "\n"))
    with pytest.raises(ConfigError, match="a path and a label"):
        listed(tmp_path, "", columns=("path",))
    with pytest.raises(ConfigError, match="one character, got ', '"):
        listed(tmp_path, "", separator=", ")


def test_a_sample_that_is_drawn_once_has_the_same_seed_whenever_it_comes(tmp_path):
    data = DrawnOnce(source=listed(tmp_path, "1.mp4 1\n2.mp4 2\n"))
    first, second = (data.sample(index, RNG) for index in (0, 1))
    assert first.seed == data.sample(0, np.random.default_rng(9)).seed is not None
    assert first.seed != second.seed
    assert first.messages == data.source.sample(0, RNG).messages
    assert DrawnOnce(source=data.source, seed=1).sample(0, RNG).seed != first.seed


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("a.mp4 3", VideoPart(source=Path("films/a.mp4"))),
        ("a b.mp4,3", VideoPart(source=Path("films/a b.mp4"))),
        ("a.mp4 31.5 4 9.5 3", VideoPart(source=Path("films/a.mp4"), start_s=4.0, end_s=9.5)),
        ("hacs a.mp4 31.5 4 9.5 3", VideoPart(source=Path("films/a.mp4"), start_s=4.0, end_s=9.5)),
        ("a 1 3", VideoPart(source=["films/a/img_00001.jpg"])),
    ],
)
def test_the_form_of_a_list_is_that_of_its_first_line(line, shown, tmp_path):
    (tmp_path / "list.txt").write_text(f"{line}\n{line}\n")
    data = open_lists([str(tmp_path / "list.txt")] * 2, media_dir="films")
    assert len(data) == 4
    assert clip_and_label(data, 3) == (shown, "3")


def test_paths_start_from_the_folder_of_the_list_where_no_other_is_named(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 3\n")
    shown, _ = clip_and_label(open_lists([str(tmp_path / "list.txt")]))
    assert shown.source == tmp_path / "a.mp4"


@pytest.mark.parametrize("text", ["", "a.mp4", "what is this 1 2 3 4 5 6", "a.mp4 dog"])
def test_a_file_that_is_no_list_is_told_apart(text, tmp_path):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=r"its first line is .*, expected columns between spaces"):
        open_lists([str(tmp_path / "list.txt")])
