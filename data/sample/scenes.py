"""What can be in a scene, which combinations make sense, and which split shows which of them."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations, cycle
from typing import NamedTuple

SCENE_TABLE = "scenes.csv"  # the file that says what each photo shows
SETTINGS = ("meadow", "beach", "snow", "street", "lake", "forest")
# Colours of fur, feathers or clothes: one of a subject's own, one of another's too.
SUBJECT_COLOURS = {
    "dog": ("brown", "black"),
    "cat": ("orange", "black"),
    "bird": ("white", "blue"),
    "child": ("yellow", "red"),
    "woman": ("pink", "red"),
    "man": ("green", "blue"),
}
# Who does what, and where, if not everywhere.
ACTION_SUBJECTS = {
    "running": ("dog", "cat", "child", "woman", "man"),
    "jumping": ("dog", "cat", "child", "woman", "man"),
    "sitting": ("dog", "cat", "child", "woman", "man"),
    "standing": tuple(SUBJECT_COLOURS),
    "swimming": ("dog", "bird", "child", "woman", "man"),
    "riding": ("child", "woman", "man"),
    "flying": ("bird",),
}
ACTION_SETTINGS = {
    "swimming": ("beach", "lake"),
    "riding": ("meadow", "beach", "street", "forest"),
}

TEST_PART, DEV_PART = 110 / 700, 90 / 700  # of the scenes
HELD_OUT_PART = 1 / 9  # of the combinations, kept for the test split
SHOWN_PART = 1 / 2  # at least, of the combinations with any two values in common, are for training
PAIRS = 0.1  # of the scenes show two of the subject

Combination = tuple[str, str, str]  # setting, subject, action


class Scene(NamedTuple):
    """What a photo shows and its captions say."""

    photo: str  # the file name
    split: str
    setting: str
    subject: str
    count: int  # 1 or 2 of the subject
    colour: str
    action: str
    seed: int

    def choices(self, purpose: str) -> random.Random:
        """Returns the generator of what is left to chance, another one for each purpose."""
        return random.Random(f"{purpose} of {self.photo} {self.seed}")


def all_combinations() -> list[Combination]:
    """Lists the combinations that make sense."""
    return [
        (setting, subject, action)
        for action, subjects in ACTION_SUBJECTS.items()
        for setting in ACTION_SETTINGS.get(action, SETTINGS)
        for subject in subjects
    ]


def hold_out(everything: list[Combination], seed: int) -> list[Combination]:
    """Chooses the combinations that only the test split shows, evenly over all values.

    Each pair of values in a held-out combination (a dog that sits, a dog in the snow, someone who
    sits in the snow) is still shown by at least SHOWN_PART of the combinations that have the pair;
    only a pair that a single combination has (flying over the snow, as birds alone do) may go.
    """
    candidates = random.Random(f"held out {seed}").sample(everything, len(everything))
    values_in_all = Counter(chain.from_iterable(everything))
    pairs_in_all = Counter(pair for each in everything for pair in combinations(each, 2))
    values, pairs = Counter(), Counter()
    held_out = []
    while candidates and len(held_out) < len(everything) * HELD_OUT_PART:
        # The values held out least so far come first, so that the test split has all of them.
        candidates.sort(key=lambda each: sum(values[one] / values_in_all[one] for one in each))
        candidate = candidates.pop(0)
        own = list(combinations(candidate, 2))
        if all(pairs[one] < max(1, int(pairs_in_all[one] * (1 - SHOWN_PART))) for one in own):
            held_out.append(candidate)
            values.update(candidate)
            pairs.update(own)
    return held_out


def plan_scenes(count: int, seed: int) -> list[Scene]:
    """Decides what every photo shows, in the order of their file names, the splits mixed."""
    everything = all_combinations()
    held_out = hold_out(everything, seed)
    choices = random.Random(f"scenes {seed}")
    shown = [each for each in everything if each not in held_out]
    turns = {split: _take_turns(shown, choices) for split in ("train", "dev")}
    turns["test"] = _take_turns(held_out, choices)
    tests, devs = round(count * TEST_PART), round(count * DEV_PART)
    splits = ["test"] * tests + ["dev"] * devs + ["train"] * (count - tests - devs)
    choices.shuffle(splits)
    scenes = []
    for number, split in enumerate(splits, start=1):
        setting, subject, action = next(turns[split])
        pair = action != "riding" and choices.random() < PAIRS
        colour = choices.choice(SUBJECT_COLOURS[subject])
        photo = f"scene_{number:0{max(4, len(str(count)))}d}.jpg"
        scenes.append(Scene(photo, split, setting, subject, 1 + pair, colour, action, seed))
    return scenes


def _take_turns(shown: list[Combination], choices: random.Random) -> Iterator[Combination]:
    """Yields combinations for ever: each subject in turn, and of it each combination in turn."""
    turns = []
    for subject in SUBJECT_COLOURS:
        own = [each for each in shown if each[1] == subject]
        # What few settings allow comes twice, or it would hardly be seen.
        own += [each for each in own if each[2] in ACTION_SETTINGS]
        turns.append(cycle(choices.sample(own, len(own))))
    return chain.from_iterable(zip(*turns, strict=True))
