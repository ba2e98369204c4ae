"""What can be in a scene, which combinations make sense, and which split shows which of them."""

import random
import re
from collections import defaultdict
from itertools import chain, cycle
from typing import NamedTuple

PHOTO_NAME = re.compile(r"scene_[0-9]{4,}\.jpg")  # of photos that are painted
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
HELD_OUT = 9  # one combination in so many is kept for the test split
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
    """Chooses the combinations that only the test split shows.

    As in a Latin square, no two of them share two values, so that each pair of values (a dog that
    sits, a dog in the snow) loses one combination at most; every single value is among them.
    """
    choices = random.Random(f"held out {seed}")
    while True:
        numbers = {}
        for values in zip(*everything, strict=True):
            names = sorted(set(values))
            numbers |= zip(names, choices.sample(range(HELD_OUT), len(names)), strict=True)
        held_out = [each for each in everything if sum(map(numbers.get, each)) % HELD_OUT == 0]
        if set(numbers) == set(chain.from_iterable(held_out)):
            return held_out


def plan_scenes(count: int, seed: int) -> list[Scene]:
    """Decides what every photo shows: each subject in turn, and of it each combination in turn."""
    choices = random.Random(f"scenes {seed}")
    tests, devs = round(count * TEST_PART), round(count * DEV_PART)
    splits = ["test"] * tests + ["dev"] * devs + ["train"] * (count - tests - devs)
    choices.shuffle(splits)
    held_out = hold_out(all_combinations(), seed)
    decks = defaultdict(list)
    scenes = []
    for number, (split, subject) in enumerate(zip(splits, cycle(SUBJECT_COLOURS)), start=1):
        deck = decks[split, subject]
        if not deck:
            own = [each for each in all_combinations() if each[1] == subject]
            own = [each for each in own if (each in held_out) == (split == "test")]
            # What few settings allow comes twice, or it would hardly be seen.
            own += [each for each in own if each[2] in ACTION_SETTINGS]
            deck += choices.sample(own, len(own))
        setting, _, action = deck.pop()
        pair = action != "riding" and choices.random() < PAIRS
        colour = choices.choice(SUBJECT_COLOURS[subject])
        photo = f"scene_{number:0{max(4, len(str(count)))}d}.jpg"
        scenes.append(Scene(photo, split, setting, subject, 1 + pair, colour, action, seed))
    return scenes
