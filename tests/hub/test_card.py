import pytest

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard


def test_a_card_is_read_as_it_was_written(tmp_path):
    card = ModelCard(
        title="nano",
        metadata={"license": "apache-2.0", "tags": ["video"]},
        sections={"": "Knows the toybox only.", "Scores": "| kind | exact |\n| --- | --- |\n| colour | 90 |"},
    )
    card.save(tmp_path)
    assert ModelCard.load(tmp_path) == card


def test_the_text_is_front_matter_then_markdown():
    card = ModelCard(title="nano", metadata={"license": "apache-2.0"}, sections={"Scores": "Good."})
    assert card.to_markdown() == "---\nlicense: apache-2.0\n---\n\n# nano\n\n## Scores\n\nGood.\n"


def test_a_card_without_metadata_has_no_front_matter():
    assert ModelCard(title="nano").to_markdown() == "# nano\n"
    assert ModelCard.from_markdown("# nano\n") == ModelCard(title="nano")


def test_a_heading_inside_a_code_block_is_text():
    card = ModelCard.from_markdown("# nano\n\n## Use\n\n```\n## not a heading\n```\n")
    assert card.sections == {"Use": "```\n## not a heading\n```"}


@pytest.mark.parametrize("text", ["---\nlicense: mit\n", "---\n- a\n---\n", "---\na: [\n---\n"])
def test_broken_front_matter_is_refused(text):
    with pytest.raises(WeightsError, match="front matter"):
        ModelCard.from_markdown(text)


def test_a_folder_without_a_card_says_so(tmp_path):
    with pytest.raises(WeightsError, match=r"no README\.md"):
        ModelCard.load(tmp_path)
