import pytest

from kinema.errors import InputError
from kinema.processors.messages import Conversation, Message, TextPart, VideoPart

DRAWN = {"max_new_tokens": 20, "temperature": 1.0, "seed": 3}


def said(clip, *texts: str) -> Conversation:
    """Questions and answers in turn, the first question after the clip."""
    messages = []
    for index, text in enumerate(texts):
        parts = (VideoPart(source=clip), TextPart(text=text)) if index == 0 else (TextPart(text=text),)
        messages.append(Message(role="assistant" if index % 2 else "user", parts=parts))
    return Conversation(messages=tuple(messages))


def test_a_session_answers_as_a_fresh_conversation_of_the_same_words(model, clip):
    with model.session(clip, **DRAWN) as talk:
        first = talk.ask("What is it?")
        second = talk.ask("Why?")
        third = talk.ask("And then?")
    assert first == model.chat(said(clip, "What is it?"), **DRAWN)
    assert second == model.chat(said(clip, "What is it?", first, "Why?"), **DRAWN)
    assert third == model.chat(said(clip, "What is it?", first, "Why?", second, "And then?"), **DRAWN)


def test_a_question_costs_the_same_however_long_the_video_is(model, noise):
    costs = []
    for num_frames in (2, 20):
        with model.session(noise(num_frames), max_new_tokens=4) as talk:
            assert talk.last_usage.encoded_tokens == 6 * num_frames
            assert talk.last_usage.prefilled_tokens > 6 * num_frames
            for _ in range(2):
                talk.ask("What is it?")
                costs.append((talk.last_usage.encoded_tokens, talk.last_usage.prefilled_tokens))
            assert model.last_usage is talk.last_usage
            assert talk.last_usage.prompt_tokens > talk.last_usage.prefilled_tokens
    short_first, short_second, long_first, long_second = costs
    assert short_first == long_first
    assert short_second == long_second
    assert long_second[0] == 0
    assert long_second[1] < 60


def test_a_session_streams_and_remembers_what_was_streamed(model, clip):
    with model.session(clip, **DRAWN) as whole, model.session(clip, **DRAWN) as streamed:
        assert "".join(streamed.ask("What is it?", stream=True)) == whole.ask("What is it?")
        assert streamed.ask("Why?") == whole.ask("Why?")
        assert streamed.messages == whole.messages


@pytest.mark.parametrize("num_pieces", [0, 3])
def test_a_stream_that_is_left_is_remembered_as_far_as_it_came(model, clip, num_pieces):
    with model.session(clip, **DRAWN) as talk:
        pieces = talk.ask("What is it?", stream=True)
        begun = "".join(next(pieces) for _ in range(num_pieces))
        second = talk.ask("Why?")
        assert list(pieces) == []
    assert second == model.chat(said(clip, "What is it?", begun, "Why?"), **DRAWN)


def test_forgetting_keeps_the_video(model, clip):
    with model.session(clip, **DRAWN) as talk:
        first = talk.ask("What is it?")
        talk.ask("Why?")
        talk.forget()
        assert talk.messages == ()
        assert talk.ask("What is it?") == first
        assert talk.last_usage.encoded_tokens == 0


def test_a_fork_goes_its_own_way(model, clip):
    with model.session(clip, **DRAWN) as talk:
        talk.ask("What is it?")
        with talk.fork() as fork:
            assert fork.ask("Why?") == talk.fork().ask("Why?")
            fork.ask("And then?")
            assert len(fork.messages) == 6
        assert len(talk.messages) == 2
        talk.ask("When?")


def test_a_session_may_have_a_system_turn_and_no_media(model):
    with model.session(system="Be brief.", **DRAWN) as talk:
        answer = talk.ask("Hi")
    assert answer == model.ask(None, "Hi", system="Be brief.", **DRAWN)


def test_a_stop_string_ends_what_is_remembered(model, clip):
    with model.session(clip, **DRAWN) as talk:
        stop = talk.ask("What is it?")[3:5]
        talk.forget()
        short = talk.ask("What is it?", stop=(stop,))
        second = talk.ask("Why?")
    assert stop not in short
    assert second == model.chat(said(clip, "What is it?", short, "Why?"), **DRAWN)


def test_a_session_begins_with_media(model, clip):
    with pytest.raises(InputError, match="chat"):
        model.session(said(clip, "What is it?"))
