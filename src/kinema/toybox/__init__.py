"""A procedural world of moving shapes, words and sounds whose every fact is known."""
