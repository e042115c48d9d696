"""A folder of one family, given to a loader of another."""

import bert_vocabulary
import clip_vocabulary
import pytest
import torch
from bare_internvideo2 import stage2
from small_languagebind import write_languagebind

from kinema.errors import WeightsError
from kinema.models.family_names import named_type
from kinema.models.internvideo2 import checkpoint as internvideo2
from kinema.models.internvideo2.captioner_checkpoint import load_captioner
from kinema.models.internvideo2.chat_checkpoint import load_chat
from kinema.models.internvideo2.clip_checkpoint import load_clip
from kinema.models.internvideo2.stage2_checkpoint import load_stage2, save_stage2
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.models.internvideo2.vision_checkpoint import (
    load_classifier,
    load_student,
    load_tower,
    load_videomae,
)
from kinema.models.languagebind import checkpoint as languagebind
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava import checkpoint as video_llava
from kinema.models.videollama3 import checkpoint as videollama3
from kinema.processors.bert_text import BertTokenizer
from kinema.processors.clip_text import CLIPTokenizer


@pytest.fixture(scope="module")
def languagebind_folder(tmp_path_factory):
    tokenizer = CLIPTokenizer(clip_vocabulary.small_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return write_languagebind(tmp_path_factory.mktemp("languagebind") / "video", Modality.VIDEO, tokenizer)


@pytest.fixture(scope="module")
def internvideo2_folder(tmp_path_factory):
    tokenizer = BertTokenizer(bert_vocabulary.small_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    folder = tmp_path_factory.mktemp("internvideo2") / "stage2"
    save_stage2(stage2()[0], Stage2Processor(tokenizer, Stage2ProcessorConfig()), folder)
    return folder


def outline(home):
    return lambda folder: home.load_outline(folder, dtype=torch.float32)


@pytest.mark.parametrize(
    "load",
    [
        internvideo2.load,
        outline(internvideo2),
        internvideo2.missing_parts,
        load_stage2,
        load_clip,
        load_chat,
        load_captioner,
        load_student,
        load_tower,
        load_classifier,
        load_videomae,
    ],
)
def test_a_folder_of_languagebind_is_refused_by_what_loads_internvideo2(languagebind_folder, load):
    with pytest.raises(WeightsError, match="'LanguageBindVideo' of LanguageBind, expected InternVideo2"):
        load(languagebind_folder)


@pytest.mark.parametrize(
    "load",
    [languagebind.load, outline(languagebind), languagebind.load_weights, languagebind.load_vision_encoder],
)
def test_a_folder_of_internvideo2_is_refused_by_what_loads_languagebind(internvideo2_folder, load):
    with pytest.raises(WeightsError, match="'internvideo2_stage2' of InternVideo2 is not LanguageBind"):
        load(internvideo2_folder)


@pytest.mark.parametrize(("home", "title"), [(videollama3, "VideoLLaMA3"), (video_llava, "Video-LLaVA")])
def test_a_folder_of_internvideo2_is_refused_by_what_loads_models_that_speak(
    internvideo2_folder, home, title
):
    with pytest.raises(WeightsError, match=f"'internvideo2_stage2' of InternVideo2 is not {title}"):
        home.load_outline(internvideo2_folder, dtype=torch.float32)


def test_a_type_that_no_family_knows_is_named_alone():
    assert named_type({"model_type": "bert"}) == "'bert'"
    assert named_type({}) == "None"
