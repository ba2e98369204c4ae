"""How far a figure can be trusted: bootstrap intervals and paired comparisons over photos.

Another thousand photos of the same kind would give other figures. Drawing photos with replacement
from those at hand, again and again, shows by how much (Efron and Tibshirani 1993, chapter 13).
"""

import numpy as np

RESAMPLES = 1000
SEED = 1


def resample(photos, resamples=RESAMPLES, seed=SEED):
    """Draws photos with replacement, as many as there are.

    Args:
        photos: int, number of photos.
        resamples: int, how often.
        seed: int; the same seed gives the same draws, so that two figures can be compared on them.

    Returns:
        numpy.ndarray, float64, (resamples, photos): how often each photo was drawn.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(photos, np.full(photos, 1 / photos), size=resamples).astype(float)


def interval(values):
    """Gives the 95% percentile interval of a figure.

    Args:
        values: numpy.ndarray, float64, (resamples,): the figure on each resample.

    Returns:
        list of two float, the ends of the interval.
    """
    return [float(end) for end in np.percentile(values, [2.5, 97.5])]


def paired_p_value(difference, differences):
    """Tells how often chance alone would make two models differ so much (two-sided).

    The differences on the resamples are shifted to have mean 0, which is what they would have were
    both models equally good (Noreen 1989; Riezler and Maxwell 2005, section 4).

    Args:
        difference: float, of a figure of the two models over all photos.
        differences: numpy.ndarray, float64, (resamples,): the same on each resample.

    Returns:
        float, from 1 / (resamples + 1) to 1.
    """
    shifted = np.abs(differences - differences.mean())
    # Rounding must not make a difference of exactly 0 look like one that chance seldom reaches.
    as_large = np.sum(shifted >= abs(difference) - 1e-12)
    return float((as_large + 1) / (len(differences) + 1))
