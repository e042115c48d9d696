from command_line import run

import kinema

SHORT = ("--max-new-tokens", 4)


def talk_of_the_library(clip, model_folder, questions):
    with kinema.load(model_folder).session(str(clip), max_new_tokens=4) as session:
        return [session.ask(question) for question in questions]


def test_questions_of_a_pipe_are_answered_in_one_talk(clip, model_folder):
    questions = ["What moves?", "And then?"]
    outcome = run("chat", clip, "--model", model_folder, *SHORT, typed="What moves?\n\nAnd then?\n")
    assert outcome.exit_code == 0
    assert outcome.stdout == "".join(a + "\n" for a in talk_of_the_library(clip, model_folder, questions))


def test_json_is_the_whole_talk(clip, model_folder):
    outcome = run("chat", clip, "--model", model_folder, "--json", *SHORT, typed="What moves?\nAnd then?")
    answers = talk_of_the_library(clip, model_folder, ["What moves?", "And then?"])
    assert outcome.document["turns"] == [
        {"question": "What moves?", "answer": answers[0]},
        {"question": "And then?", "answer": answers[1]},
    ]
    assert len(outcome.document["media"][0]["frames"]) == 6


def test_forget_keeps_the_video_and_drops_what_was_said(clip, model_folder):
    typed = "What moves?\n/forget\nWhat moves?\n/exit\nnever asked\n"
    turns = run("chat", clip, "--model", model_folder, "--json", *SHORT, typed=typed).document["turns"]
    assert len(turns) == 2
    assert turns[0] == turns[1]


def test_words_alone_need_no_video(model_folder):
    outcome = run("chat", "--model", model_folder, "--json", *SHORT, typed="Hello\n")
    assert outcome.exit_code == 0
    assert outcome.document["media"] == []
    assert len(outcome.document["turns"]) == 1
