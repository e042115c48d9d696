from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_sentence_pieces import kept_pieces


def test_a_vocabulary_is_learned_once_and_kept(tmp_path):
    assert kept_pieces(tmp_path / "run", lambda: b"first") == b"first"
    assert kept_pieces(tmp_path / "run", lambda: b"second") == b"first"
    assert (tmp_path / "run" / "tokenizer.model").read_bytes() == b"first"


def test_a_card_names_the_recipe_and_what_is_asked_for_a_caption():
    card = nano_card("nano", "nano_ears", "Ears", caption_prompt="What is heard?")
    assert card.metadata["kinema"] == {"domain": "toybox", "caption_prompt": "What is heard?"}
    assert "Ears, trained by `kinema.recipes.nano_ears`" in card.sections[""]
