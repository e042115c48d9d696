import json

import pytest
from clip_vocabulary import write_vocabulary

from kinema.errors import WeightsError
from kinema.hub.tokenizer import add_special_tokens, load_tokenizer, save_tokenizer

TEXTS = (
    "What is the cat doing?",
    "Café déjà-vu: 12 345\n\n  two  spaces",
    "I'LL go, they've 中文 gone…",
    "e\u0301",
)


@pytest.fixture(scope="module")
def published(golden_dir):
    return golden_dir / "videollama3" / "tokenizer"


def with_vocabulary_only(source, target):
    """The same tokenizer in the three files of Qwen2."""
    content = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    (target / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    (target / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]))
    (target / "tokenizer_config.json").write_bytes((source / "tokenizer_config.json").read_bytes())
    return target


def test_the_whole_file_and_its_added_tokens_are_read(published):
    tokenizer = load_tokenizer(published)
    described = json.loads((published / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    for token_id, token in described.items():
        assert tokenizer.token_to_id(token["content"]) == int(token_id)
    assert tokenizer.decode(tokenizer.encode("What is the cat doing?").ids) == "What is the cat doing?"


def test_a_vocabulary_with_merges_gives_the_tokens_of_qwen2(published, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = with_vocabulary_only(published, tmp_path)
    tokenizer = load_tokenizer(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    theirs = transformers.Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    for text in TEXTS:
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"], text


def test_a_vocabulary_that_marks_ends_of_words_gives_the_tokens_of_clip(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = write_vocabulary(tmp_path)
    tokenizer = load_tokenizer(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    theirs = transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)
    for text in (*TEXTS, "The cat  barks!", "DOG"):
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"][1:-1], text


def test_added_tokens_may_stand_in_a_file_of_their_own(published, tmp_path):
    folder = with_vocabulary_only(published, tmp_path)
    config = folder / "tokenizer_config.json"
    described = json.loads(config.read_text())["added_tokens_decoder"]
    config.unlink()
    added = {token["content"]: int(token_id) for token_id, token in described.items()}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    tokenizer = load_tokenizer(folder)
    assert {content: tokenizer.token_to_id(content) for content in added} == added


def test_files_that_disagree_on_an_id_are_refused(published, tmp_path):
    folder = with_vocabulary_only(published, tmp_path)
    (folder / "tokenizer_config.json").write_text(
        '{"added_tokens_decoder": {"7": {"content": "<|im_end|>"}}}'
    )
    with pytest.raises(WeightsError, match=r"<\|im_end\|> has id \d+ in the tokenizer, and 7"):
        load_tokenizer(folder)


def test_a_saved_tokenizer_is_read_again(published, tmp_path):
    tokenizer = load_tokenizer(published)
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).to_str() == tokenizer.to_str()


def test_special_tokens_are_added_at_the_end_in_order(published):
    tokenizer = load_tokenizer(published)
    size = tokenizer.get_vocab_size()
    add_special_tokens(tokenizer, ("<|im_end|>", "<new>", "<newer>"))
    assert [tokenizer.token_to_id(token) for token in ("<new>", "<newer>")] == [size, size + 1]


def test_a_folder_without_or_with_a_broken_tokenizer_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer\.json: not a tokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_vocabulary_of_word_pieces_gives_the_tokens_of_bert(tmp_path, lowercase):
    transformers = pytest.importorskip("transformers")
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "cafe",
        "Café",
        "what",
        "What",
        "is",
        "##s",
        "?",
        "中",
    ]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    tokenizer = load_tokenizer(tmp_path)
    theirs = transformers.BertTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, do_lower_case=lowercase
    )
    for text in (*TEXTS, "Cafés", "what [MASK] is"):
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"][1:-1], text


def test_a_list_of_words_that_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("cat\ndog")
    with pytest.raises(WeightsError, match="no vocabulary of word pieces"):
        load_tokenizer(tmp_path)
