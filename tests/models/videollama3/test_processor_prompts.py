"""Prompts, ids and labels against the golden set: text alone, the images are given as numbers of tokens."""

import json

import pytest
import torch
from tokenizers import Tokenizer

from kinema.models.videollama3.processor import SYSTEM_PROMPT, VideoLLaMA3ProcessorConfig
from kinema.processors.chat import PartTokens, encode_turns, turns_to_text
from kinema.processors.labels import IGNORE_INDEX, supervise, thin_decisions
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.tokenizer import TextTokenizer

COMPAT = {"published": "official", "training": "training", "transformers": "transformers"}
IMAGE_TIME_KEY = {"published": "timestamp", "training": "time", "transformers": "unread"}


@pytest.fixture(scope="module")
def golden(golden_dir):
    return golden_dir / "videollama3"


@pytest.fixture(scope="module")
def tokenizer(golden):
    return TextTokenizer(Tokenizer.from_file(str(golden / "tokenizer/tokenizer.json")))


def conversation_of(case):
    """The golden messages; the media are named only, so their parts have empty sources."""
    messages = []
    for message in case["messages"]:
        content = message["content"]
        content = [content] if isinstance(content, str) else content
        parts = [_part(element, case["form"]) for element in content]
        messages.append(Message(role=message["role"], parts=tuple(parts)))
    return Conversation(messages=tuple(messages))


def _part(element, form):
    if isinstance(element, str):
        return TextPart(text=element)
    if element["type"] == "text":
        return TextPart(text=element["text"])
    if element["type"] == "image":
        return ImagePart(source="", time_s=element.get(IMAGE_TIME_KEY[form]))
    return VideoPart(source="")


def visuals_of(case):
    """One ``PartTokens`` an image or video part, from the golden description of what was encoded."""
    items = {"image": [], "video": []}
    for item in case["visual_items"]:
        frames, rows, columns = item["grid_thw"]
        tokens = item.get("tokens_per_frame") or [rows * columns // item["merge_size"] ** 2] * frames
        items[item["kind"]].append((item, tokens))
    images, videos = iter(items["image"]), iter(items["video"])
    stream_tokens = None
    visuals = []
    for message in case["messages"]:
        for element in message["content"] if isinstance(message["content"], list) else []:
            kind = element.get("type") if isinstance(element, dict) else None
            if kind == "image":
                time = element.get(IMAGE_TIME_KEY[case["form"]])
                if message["role"] == "stream" and case["form"] != "transformers":
                    stream_tokens = stream_tokens or iter(next(videos)[1])
                    count = next(stream_tokens)
                else:
                    count = next(images)[1][0]
                visuals.append(PartTokens(tokens_per_frame=(count,), times_s=(time,)))
            elif kind == "video":
                item, tokens = next(videos)
                times = times_of(element, item, case)
                visuals.append(PartTokens(tokens_per_frame=tuple(tokens), times_s=times))
    return visuals


def times_of(element, item, case):
    frames = item["grid_thw"][0]
    if case["form"] == "transformers":
        indices = item["frame_indices"] or range(frames)  # a rate of 1 is assumed where none is known
        return tuple(index / (item["file_fps"] or 1) for index in indices)
    return tuple(element.get("timestamps", [None] * frames))


def single(visual, case):
    """As the templates print it: a placeholder a frame, of a whole video in transformers."""
    if case["form"] == "transformers":
        return PartTokens(tokens_per_frame=(1,), times_s=(None,))
    return PartTokens(tokens_per_frame=(1,) * len(visual.times_s), times_s=visual.times_s)


def turns_of(case, visuals):
    options = case.get("options", {})
    return VideoLLaMA3ProcessorConfig.for_compat(COMPAT[case["form"]]).template.turns(
        conversation_of(case),
        visuals,
        system_prompt=SYSTEM_PROMPT if options.get("add_system_prompt") else None,
        add_generation_prompt=options.get("add_generation_prompt", False),
    )


def test_prompts_and_ids_equal_the_published_ones(golden, tokenizer):
    cases = json.loads((golden / "prompts.json").read_text())["cases"]
    assert cases
    for case in cases:
        visuals = visuals_of(case)
        printed = turns_to_text(turns_of(case, [single(visual, case) for visual in visuals]))
        assert printed == case["expected"], case["id"]
        turns = turns_of(case, visuals)
        if "expanded" in case:
            assert turns_to_text(turns) == case["expanded"], case["id"]
        ids = [token for turn in encode_turns(turns, tokenizer) for token in turn.ids]
        assert ids == case["input_ids"], case["id"]


def test_times_are_rounded_as_python_and_printf_round(golden):
    template = VideoLLaMA3ProcessorConfig().template
    conversation = Conversation(messages=(Message(role="user", parts=(VideoPart(source=""),)),))
    for row in json.loads((golden / "prompts.json").read_text())["rounding"]:
        visual = PartTokens(tokens_per_frame=(1,), times_s=(row["value"],))
        text = turns_to_text(template.turns(conversation, [visual]))
        assert f"Time {row['one_decimal_format']}:" in text


def labelled_cases(golden):
    stored = json.loads((golden / "labels.json").read_text())
    assert stored["ignore_index"] == IGNORE_INDEX
    assert stored["cases"]
    return stored["cases"]


def supervision_of(case, tokenizer):
    turns = encode_turns(turns_of(case, visuals_of(case)), tokenizer)
    rule = VideoLLaMA3ProcessorConfig.for_compat(COMPAT[case["form"]]).stream_labels
    return [token for turn in turns for token in turn.ids], supervise(turns, stream_rule=rule)


def test_labels_equal_those_of_the_original(golden, tokenizer):
    for case in labelled_cases(golden):
        ids, supervision = supervision_of(case, tokenizer)
        assert ids == case["input_ids"], case["id"]
        assert list(supervision.labels) == case["labels"], case["id"]
        named = {tokenizer.special_id(name): at for name, at in case.get("decision_positions", {}).items()}
        assert supervision.decisions == {token: at for token, at in named.items() if at}, case["id"]


def test_thinning_leaves_as_many_decisions_of_each_kind_and_all_words(golden, tokenizer):
    for case in labelled_cases(golden):
        _, supervision = supervision_of(case, tokenizer)
        thinned = thin_decisions(supervision, torch.Generator().manual_seed(0))
        if "decision_positions" not in case:
            assert thinned == supervision.labels, case["id"]
            continue
        candidates = set()
        for positions in case["decision_positions"].values():
            kept = [p for p in positions if thinned[p] != IGNORE_INDEX]
            assert len(kept) == min(case["decisions_kept_per_class"], len(positions)), case["id"]
            candidates |= set(positions)
        for position, label in enumerate(supervision.labels):
            if position not in candidates:
                assert thinned[position] == label, case["id"]


def test_thinning_is_the_callers_chance(golden, tokenizer):
    supervisions = [supervision_of(case, tokenizer)[1] for case in labelled_cases(golden)]
    supervision = max(supervisions, key=lambda s: max(map(len, s.decisions.values()), default=0))
    draws = {thin_decisions(supervision, torch.Generator().manual_seed(seed)) for seed in range(8)}
    again = {thin_decisions(supervision, torch.Generator().manual_seed(seed)) for seed in range(8)}
    assert draws == again
    assert len(draws) > 1
