"""How MVBench is asked and judged (OpenGVLab/Ask-Anything, ``mvbench.ipynb``; arXiv 2311.17005)."""

from collections.abc import Sequence
from string import ascii_uppercase

INSTRUCTION = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and "
    "movement of objects, and the action and pose of persons. Based on your observations, select the best "
    "option that accurately addresses the question.\n"
)
"""Said before the video, and in the published runs once more before the question."""

ONE_OPTION = "Only give the best option."
ANSWER_BEGINNING = "Best option:("
"""What the published runs put into the model's mouth."""


def mvbench_question(question: str, options: Sequence[str]) -> str:
    """A question with its lettered options, and what is wanted of them."""
    lines = [f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n".join([f"Question: {question}", "Options:", *lines, ONE_OPTION])


def mvbench_truth(options: Sequence[str], answer: str) -> str:
    """The right option as it is compared, with its letter.

    Raises:
        ValueError: if the answer is no option.
    """
    return f"({ascii_uppercase[list(options).index(answer)]}) {answer}"


def is_mvbench_match(prediction: str, truth: str) -> bool:
    """Whether an answer counts as right, by the published rule, which is generous.

    The first word of the answer must occur in the right option's letter or the other way round, or the right
    option's words in the rest of the answer: in small letters, without articles and a last full stop. So an
    answer with another letter may be right, and one of a bracket alone always is.

    Args:
        prediction: what a model wrote.
        truth: of ``mvbench_truth``.
    """
    letter, _, words = prediction.lower().partition(" ")
    truth_letter, _, truth_words = truth.lower().partition(" ")
    named = letter.replace(".", "") in truth_letter or truth_letter in letter
    return named or _without_articles(truth_words.removesuffix(".")) in _without_articles(words)


def _without_articles(words: str) -> str:
    return " ".join(word for word in words.split(" ") if word not in ("a", "an", "the"))
