"""What can be in a scene, which combinations make sense, and which split shows which of them."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain, cycle
from itertools import combinations as choose
from typing import NamedTuple

# The values of each property, as scenes.csv names them.
SETTINGS = ("meadow", "beach", "snow", "street", "lake", "forest")
SUBJECTS = ("dog", "cat", "bird", "child", "woman", "man")
COLOURS = ("black", "brown", "white", "orange", "red", "pink", "blue", "yellow", "green")
ACTIONS = ("running", "jumping", "sitting", "standing", "swimming", "riding", "flying")

# Colours that a subject's fur, feathers or clothes may have: one of its own, one of another's too.
SUBJECT_COLOURS = {
    "dog": ("brown", "black"),
    "cat": ("orange", "black"),
    "bird": ("white", "blue"),
    "child": ("yellow", "red"),
    "woman": ("pink", "red"),
    "man": ("green", "blue"),
}
_ON_LAND = ("running", "jumping", "sitting", "standing")
SUBJECT_ACTIONS = {
    "dog": (*_ON_LAND, "swimming"),
    "cat": _ON_LAND,
    "bird": ("standing", "flying", "swimming"),
    "child": (*_ON_LAND, "swimming", "riding"),
    "woman": (*_ON_LAND, "swimming", "riding"),
    "man": (*_ON_LAND, "swimming", "riding"),
}
# The actions that need a place, and where they can be done.
ACTION_SETTINGS = {
    "swimming": ("beach", "lake"),
    "riding": ("meadow", "beach", "street", "forest"),
}

TEST_PART, DEV_PART = 110 / 700, 90 / 700  # of the scenes
HELD_OUT_PART = 1 / 9  # of the combinations, kept for the test split
SHOWN_PART = 1 / 2  # at least, of the combinations with any two values in common, are for training
PAIRS = 0.1  # of the scenes show two of the subject

SCENE_TABLE = "scenes.csv"  # the file that says what each photo shows

Combination = tuple[str, str, str]  # setting, subject, action


class Scene(NamedTuple):
    """What a photo shows and its captions say; smaller choices are drawn from its name and seed."""

    photo: str  # the file name
    split: str
    setting: str
    subject: str
    count: int  # 1 or 2 of the subject
    colour: str  # of the fur, the feathers or the clothes
    action: str
    seed: int

    @property
    def combination(self) -> Combination:
        """What the test split must not share with the training split."""
        return self.setting, self.subject, self.action

    def choices(self, purpose: str) -> random.Random:
        """Returns the generator of what is left to chance, another one for each purpose."""
        return random.Random(f"{purpose} of {self.photo} {self.seed}")


def all_combinations() -> list[Combination]:
    """Lists the combinations that make sense."""
    return [
        (setting, subject, action)
        for setting in SETTINGS
        for subject in SUBJECTS
        for action in SUBJECT_ACTIONS[subject]
        if setting in ACTION_SETTINGS.get(action, SETTINGS)
    ]


def hold_out(combinations: list[Combination], seed: int) -> list[Combination]:
    """Chooses the combinations that only the test split shows, evenly over all values.

    Each pair of values in a held-out combination (a dog that sits, a dog in the snow, someone who
    sits in the snow) is still shown by at least SHOWN_PART of the combinations that have the pair;
    only a pair that a single combination has (flying over the snow, as birds alone do) may go.
    """
    candidates = list(combinations)
    random.Random(f"held out {seed}").shuffle(candidates)
    values_in_all = Counter(value for each in combinations for value in each)
    pairs_in_all = Counter(pair for each in combinations for pair in choose(each, 2))
    values, pairs = Counter(), Counter()
    held_out = []
    while candidates and len(held_out) < len(combinations) * HELD_OUT_PART:
        # The values held out least so far come first, so that the test split has all of them.
        candidates.sort(key=lambda each: sum(values[one] / values_in_all[one] for one in each))
        candidate = candidates.pop(0)
        own_pairs = list(choose(candidate, 2))
        limits = [max(1, int(pairs_in_all[pair] * (1 - SHOWN_PART))) for pair in own_pairs]
        if all(pairs[pair] < limit for pair, limit in zip(own_pairs, limits, strict=True)):
            held_out.append(candidate)
            values.update(candidate)
            pairs.update(own_pairs)
    return held_out


def plan_scenes(count: int, seed: int) -> list[Scene]:
    """Decides what every photo shows, in the order of their file names, the splits mixed."""
    combinations = all_combinations()
    held_out = hold_out(combinations, seed)
    shown = [each for each in combinations if each not in held_out]
    sizes = {"test": round(count * TEST_PART), "dev": round(count * DEV_PART)}
    sizes["train"] = count - sum(sizes.values())
    splits = [split for split, size in sizes.items() for _ in range(size)]
    choices = random.Random(f"scenes {seed}")
    choices.shuffle(splits)
    takers = {split: _take_turns(shown, choices) for split in ("train", "dev")}
    takers["test"] = _take_turns(held_out, choices)
    digits = max(4, len(str(count)))
    return [
        plan_scene(f"scene_{number:0{digits}d}.jpg", split, next(takers[split]), seed)
        for number, split in enumerate(splits, start=1)
    ]


def _take_turns(combinations: list[Combination], choices: random.Random) -> Iterator[Combination]:
    """Yields combinations for ever: each subject in turn, and of it each combination in turn."""
    turns = []
    for subject in SUBJECTS:
        own = [each for each in combinations if each[1] == subject]
        # What few settings allow comes twice, or it would hardly be seen.
        own += [each for each in own if each[2] in ACTION_SETTINGS]
        turns.append(cycle(choices.sample(own, len(own))))
    return chain.from_iterable(zip(*turns, strict=True))


def plan_scene(photo: str, split: str, combination: Combination, seed: int) -> Scene:
    """Decides what one photo shows, beyond its setting, subject and action."""
    setting, subject, action = combination
    choices = random.Random(f"{photo} {seed}")
    count = 2 if action != "riding" and choices.random() < PAIRS else 1
    colour = choices.choice(SUBJECT_COLOURS[subject])
    return Scene(photo, split, setting, subject, count, colour, action, seed)
