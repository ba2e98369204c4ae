"""What can be in a scene, which combinations make sense, and who is drawn for which split."""

import random
from collections import Counter
from dataclasses import dataclass

# The values of each property, as scenes.csv names them.
SETTINGS = ("meadow", "beach", "snow", "street", "lake", "forest")
SUBJECTS = ("dog", "cat", "bird", "child", "woman", "man")
COLOURS = ("black", "brown", "white", "orange", "red", "pink", "blue", "yellow", "green")
ACTIONS = ("running", "jumping", "sitting", "standing", "swimming", "riding", "flying")
THINGS = ("none", "ball", "kite", "bicycle", "umbrella", "boat")

PEOPLE = ("child", "woman", "man")

# Colours that a subject's fur, feathers or clothes may have: one of its own, one of another's too.
SUBJECT_COLOURS = {
    "dog": ("brown", "black"),
    "cat": ("orange", "black"),
    "bird": ("white", "blue"),
    "child": ("yellow", "red"),
    "woman": ("pink", "red"),
    "man": ("green", "blue"),
}

# What a subject can do, and where the actions that need a place can be done.
SUBJECT_ACTIONS = {
    "dog": ("running", "jumping", "sitting", "standing", "swimming"),
    "cat": ("running", "jumping", "sitting", "standing"),
    "bird": ("standing", "flying", "swimming"),
    "child": ("running", "jumping", "sitting", "standing", "swimming", "riding"),
    "woman": ("running", "jumping", "sitting", "standing", "swimming", "riding"),
    "man": ("running", "jumping", "sitting", "standing", "swimming", "riding"),
}
ACTION_SETTINGS = {
    "swimming": ("beach", "lake"),
    "riding": ("meadow", "beach", "street", "forest"),
}

# What may stand about in a setting, named as the captions name it.
CLUTTER = {
    "meadow": ("flowers", "trees"),
    "beach": ("rocks", "palms"),
    "snow": ("trees", "cabin"),
    "street": ("lamp", "trees"),
    "lake": ("rocks", "reeds"),
    "forest": ("ferns", "mushrooms"),
}

# How often.
TEST_PART = 110 / 700  # of the scenes
DEV_PART = 90 / 700
HELD_OUT_PART = 1 / 9  # of the combinations, kept for the test split
SHOWN_PART = 1 / 2  # at least, of the combinations with any two values in common, are for training
PAIRS = 0.1  # scenes with two of the subject
THING_PART = 0.4  # scenes with a thing in them, where one makes sense
CLUTTER_PART = 0.5
DUSK = 0.2
CLOUDY = 0.35
RARE_PLACE_WEIGHT = 2  # how much more often an action is drawn that few settings allow


@dataclass(frozen=True)
class Scene:
    """Everything that decides how a photo looks and what its captions say.

    Args:
        photo: str, the file name.
        split: str, `train`, `dev` or `test`.
        setting: str, one of SETTINGS.
        subject: str, one of SUBJECTS.
        count: int, 1 or 2 of the subject.
        colour: str, one of COLOURS, of the fur, the feathers or the clothes.
        action: str, one of ACTIONS.
        thing: str, one of THINGS.
        girl: bool, whether a child is a girl.
        shift: float, how far the figures stand from the middle, as a part of the width.
        size: float, their size as a part of the usual one.
        horizon: float, its height from the top as a part of the picture's.
        light: str, `day` or `dusk`.
        weather: str, `clear` or `cloudy`.
        clutter: str, one of CLUTTER of the setting, or `none`.
        seed: str, what all smaller choices are drawn from.
    """

    photo: str
    split: str
    setting: str
    subject: str
    count: int
    colour: str
    action: str
    thing: str
    girl: bool
    shift: float
    size: float
    horizon: float
    light: str
    weather: str
    clutter: str
    seed: str

    @property
    def combination(self):
        """The tuple of str that the test split must not share with the training split."""
        return self.setting, self.subject, self.action


def all_combinations():
    """Lists the combinations that make sense.

    Returns:
        list of tuple of str: setting, subject, action.
    """
    return [
        (setting, subject, action)
        for setting in SETTINGS
        for subject in SUBJECTS
        for action in SUBJECT_ACTIONS[subject]
        if setting in ACTION_SETTINGS.get(action, SETTINGS)
    ]


def hold_out(combinations, seed):
    """Chooses the combinations that only the test split shows.

    Each pair of values in a held-out combination (a dog that sits, a dog in the snow, someone who
    sits in the snow) is still shown by at least SHOWN_PART of the combinations that have the pair;
    only a pair that a single combination has (flying over the snow, as birds alone do) may go.

    Args:
        combinations: list of tuple of str.
        seed: int.

    Returns:
        list of tuple of str, about HELD_OUT_PART of the combinations, evenly over all values.
    """
    candidates = list(combinations)
    random.Random(f"held out {seed}").shuffle(candidates)
    totals = Counter(value for combination in combinations for value in combination)
    held_out = []
    while candidates and len(held_out) < len(combinations) * HELD_OUT_PART:
        used = Counter(value for combination in held_out for value in combination)
        # The values least held out so far come first, so that the test split has all of them.
        candidates.sort(key=lambda each: sum(used[value] / totals[value] for value in each))
        candidate = candidates.pop(0)
        if all(
            _having(held_out, pair) + 1 <= _limit(_having(combinations, pair))
            for pair in _pairs(candidate)
        ):
            held_out.append(candidate)
    return held_out


def _limit(combinations_with_pair):
    return max(1, int(combinations_with_pair * (1 - SHOWN_PART)))


def _pairs(combination):
    setting, subject, action = combination
    return {setting, subject}, {subject, action}, {setting, action}


def _having(combinations, values):
    return sum(values <= set(combination) for combination in combinations)


def plan_scenes(count, seed):
    """Decides what every photo shows.

    Args:
        count: int, photos in all.
        seed: int.

    Returns:
        list of Scene, in the order of their file names, the splits mixed.
    """
    combinations = all_combinations()
    held_out = hold_out(combinations, seed)
    shown = [combination for combination in combinations if combination not in held_out]
    tests = max(1, round(count * TEST_PART))
    devs = max(1, round(count * DEV_PART))
    splits = ["test"] * tests + ["dev"] * devs + ["train"] * (count - tests - devs)
    random.Random(f"splits {seed}").shuffle(splits)
    queues = {
        "train": _queue(shown, f"train {seed}"),
        "dev": _queue(shown, f"dev {seed}"),
        "test": _queue(held_out, f"test {seed}"),
    }
    digits = max(4, len(str(count)))
    return [
        plan_scene(f"scene_{number:0{digits}d}.jpg", split, next(queues[split]), seed)
        for number, split in enumerate(splits, start=1)
    ]


def _queue(combinations, seed):
    """Yields combinations for ever: each subject in turn, each of its combinations in turn."""
    choices = random.Random(seed)
    waiting = {}
    while True:
        subjects = [
            subject for subject in SUBJECTS if any(each[1] == subject for each in combinations)
        ]
        choices.shuffle(subjects)
        for subject in subjects:
            if not waiting.get(subject):
                waiting[subject] = [
                    each
                    for each in combinations
                    if each[1] == subject
                    for _ in range(RARE_PLACE_WEIGHT if each[2] in ACTION_SETTINGS else 1)
                ]
                choices.shuffle(waiting[subject])
            yield waiting[subject].pop()


def plan_scene(photo, split, combination, seed):
    """Decides what one photo shows, beyond its setting, subject and action.

    Args:
        photo: str, the file name.
        split: str.
        combination: tuple of str: setting, subject, action.
        seed: int.

    Returns:
        Scene.
    """
    setting, subject, action = combination
    choices = random.Random(f"{photo} {seed}")
    count = 2 if action != "riding" and choices.random() < PAIRS else 1
    return Scene(
        photo=photo,
        split=split,
        setting=setting,
        subject=subject,
        count=count,
        colour=choices.choice(SUBJECT_COLOURS[subject]),
        action=action,
        thing=_choose_thing(choices, combination, count),
        girl=subject == "child" and choices.random() < 0.5,
        shift=choices.uniform(-0.025, 0.025),
        size=choices.uniform(0.97, 1.03),
        horizon=choices.uniform(0.44, 0.46),
        light="dusk" if choices.random() < DUSK else "day",
        weather="cloudy" if choices.random() < CLOUDY else "clear",
        clutter=choices.choice(CLUTTER[setting]) if choices.random() < CLUTTER_PART else "none",
        seed=f"{photo} {seed} details",
    )


def _choose_thing(choices, combination, count):
    setting, subject, action = combination
    if action == "riding":
        return "bicycle"
    fitting = []
    if setting in ("beach", "lake"):
        fitting.append("boat")
    if subject in ("dog", "child", "man") and action in ("running", "jumping", "standing"):
        fitting.append("ball")
    if count == 1 and subject in PEOPLE and action in ("standing", "sitting"):
        fitting.append("umbrella")
    if (
        count == 1
        and subject in PEOPLE
        and setting in ("meadow", "beach", "snow", "lake")
        and action in ("standing", "running")
    ):
        # Thrice, since it fits so few scenes.
        fitting += ["kite"] * 3
    return choices.choice(fitting) if fitting and choices.random() < THING_PART else "none"
