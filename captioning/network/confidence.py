"""How sure a captioner was of the words of a caption."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from captioning.text.vocabulary import END_TOKEN


@dataclass(frozen=True)
class TokenProbability:
    """How sure the captioner was of one word of a caption, given the words before it."""

    word: str  # `endseq` where the caption ends
    probability: float
    alternatives: tuple[tuple[str, float], ...]  # other words, likeliest first

    @property
    def is_end(self) -> bool:
        """Whether this is the token that ends the caption."""
        return self.word == END_TOKEN


def mean_probability(tokens: Sequence[TokenProbability]) -> float:
    """Returns the geometric mean of the probabilities of one or more tokens, 0 to 1."""
    return math.prod(token.probability for token in tokens) ** (1 / len(tokens))
