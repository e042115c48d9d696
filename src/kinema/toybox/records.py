"""What is known of a clip as one JSON record: captions, questions, spans, cuts, a conversation, all facts."""

from typing import Any

import numpy as np

from kinema.toybox.captions import DETAILED_PROMPT, SHORT_PROMPT, detailed_caption, short_caption
from kinema.toybox.question import Question
from kinema.toybox.questions import questions
from kinema.toybox.scene import Scene
from kinema.toybox.spans import spans


def clip_record(scene: Scene, file: str, *, fps: float, num_questions: int) -> dict[str, Any]:
    """The record of one clip: the same scene and settings give the same record.

    ``video`` and ``conversations`` are in the form that LLaVA and VideoLLaMA3 train on: a list of one path,
    and turns of which the first human one starts with ``<video>``.

    Args:
        scene: what is filmed.
        file: path of the clip, as it shall stand in the record.
        fps: frames a second of the clip.
        num_questions: how many questions at most, the kinds mixed.
    """
    rng = np.random.default_rng([scene.seed, scene.level])
    asked = questions(scene, rng, num_questions)
    short, detailed = short_caption(scene), detailed_caption(scene)
    return {
        "file": file,
        "duration_s": scene.duration_s,
        "fps": fps,
        "height": scene.height,
        "width": scene.width,
        "captions": {"short": short, "detailed": detailed},
        "questions": [_question(question) for question in asked],
        "spans": [{"text": span.text, "start_s": span.start_s, "end_s": span.end_s} for span in spans(scene)],
        "cuts": [{"at_s": cut.at_s, "dissolve_s": cut.dissolve_s} for cut in scene.cuts],
        "video": [file],
        "conversations": _conversation(
            [(SHORT_PROMPT, short), (DETAILED_PROMPT, detailed)] + [(q.text, q.answer) for q in asked]
        ),
        "facts": scene.facts(),
    }


def _question(question: Question) -> dict[str, Any]:
    span = None if question.span is None else list(question.span)
    return {"kind": question.kind, "text": question.text, "answer": question.answer, "span": span}


def _conversation(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    messages = []
    for index, (asked, answered) in enumerate(turns):
        messages.append({"from": "human", "value": asked if index else f"<video>\n{asked}"})
        messages.append({"from": "gpt", "value": answered})
    return messages
