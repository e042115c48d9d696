import json

import numpy as np
import pytest
from command_line import run
from PIL import Image
from planted_faults import GOOD, write_media

from kinema.cli.data_show import Run, painted, runs_of
from kinema.models.video_llava.processor import VideoLLaVAProcessor
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart
from kinema.processors.sentence_pieces import SentencePieceTokenizer


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_media(folder)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, GOOD)))
    return folder / "rows.jsonl"


def test_what_is_learned_is_marked_in_the_prompt_as_the_model_reads_it(rows):
    outcome = run("data", "show", rows, "--row", 4)
    assert outcome.exit_code == 0
    assert outcome.stdout == (
        "<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\n[[Nobody.<|im_end|>]]\n\n"
        "22 tokens: 8 learned (in [[ ]]), 0 visual, 14 others\n"
    )


def test_decisions_of_a_stream_are_learned_too(rows):
    lines = run("data", "show", rows, "--row", 3).stdout.splitlines()
    assert lines[3:7] == [
        "Time 0.0s: <16 visual tokens>",
        "<|stream_end|>[[<|stream_start|>]]stream",
        "Time 1.0s: <8 visual tokens>",
        "<|stream_end|>[[<|im_start|>]]assistant",
    ]


def test_tokens_labels_and_frames_are_told_as_json(rows):
    document = run("data", "show", rows, "--row", 0, "--json").document
    learned = [label for label in document["labels"] if label != -100]
    assert len(document["labels"]) == len(document["input_ids"]) == document["tokens"]["all"]
    assert len(learned) == document["tokens"]["learned"]
    assert [run["text"] for run in document["runs"] if run["kind"] == "learned"] == [
        "A ball rolls from 1.0 to 2.5 s.<|im_end|>"
    ]
    (film,) = document["media"]
    assert [frame["time_s"] for frame in film["frames"]] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert sum(frame["kept_tokens"] for frame in film["frames"]) == document["tokens"]["visual"]


def test_all_frames_are_on_one_picture_and_each_on_its_own(rows, tmp_path):
    outcome = run(
        "data", "show", rows, "--row", 0, "--out", tmp_path / "a.png", "--frames-to", tmp_path / "a"
    )
    assert outcome.exit_code == 0
    assert len(list((tmp_path / "a").glob("00-*.png"))) == 6
    sheet, first = Image.open(tmp_path / "a.png"), Image.open(tmp_path / "a" / "00-0000.png")
    enlarged = np.asarray(sheet)[6 + 16 :, 6:][:224, :224]
    np.testing.assert_array_equal(enlarged[::2, ::2], np.asarray(first)[:112])
    assert sheet.size == (6 * (224 + 6) + 2 * 6, 2 * 16 + 224 + 2 * 6)


def test_pieces_keep_their_blanks_where_a_run_begins_with_one(golden_dir):
    model = (golden_dir / "video_llava/tokenizer.model").read_bytes()
    processor = VideoLLaVAProcessor(SentencePieceTokenizer(model, added_tokens={"<image>": 0}))
    grey = ImagePart(source=np.zeros((8, 8, 3), np.uint8))
    asked = Message(role="user", parts=(grey, TextPart(text="Who?")))
    answered = Message(role="assistant", parts=(TextPart(text="A dog."),))
    prepared = processor.prepare(Conversation(messages=(asked, answered)), with_labels=True)
    text = painted(runs_of(prepared.sample, processor.tokenizer), has_colours=False).plain
    assert text.endswith("USER: <256 visual tokens> \nWho? ASSISTANT:[[ A dog.</s>]]")


def test_what_is_learned_is_green_where_there_are_colours():
    runs = [Run("read", "What?", 2), Run("learned", "A [dog].", 4)]
    assert painted(runs, has_colours=False).plain == "What?[[A [dog].]]"
    coloured = painted(runs, has_colours=True)
    assert coloured.plain == "What?A [dog]."
    assert [(span.start, span.end, span.style) for span in coloured.spans] == [(5, 13, "bold green")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--row", 5), 2, "there is no row 5; its 5 rows are counted from 0"),
        (("--row", 4, "--out", "a.png"), 2, "there is nothing to see in this row"),
        (("--row", 0, "--out", "a.nothing"), 2, "name a .png"),
        (("--row", 0, "--model", "nowhere"), 4, "nowhere"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, code, said, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run("data", "show", rows, *arguments, "--offline")
    assert outcome.exit_code == code
    assert said in outcome.stderr
