import json

import pytest

from kinema.processors.captions import clean_caption


@pytest.mark.parametrize("group", ["clean", "clean_and_truncate"])
def test_captions_are_cleaned_as_the_original_does_it(golden_dir, group):
    cases = json.loads((golden_dir / "internvideo2/C_caption_cleaning.json").read_text())["groups"][group]
    assert cases
    for case in cases:
        given = case["input"]
        caption = given if isinstance(given, str) else given["text"]
        max_words = None if isinstance(given, str) else given["max_words"]
        assert clean_caption(caption, max_words=max_words) == case["output"]
