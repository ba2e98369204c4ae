"""Captions a scene as five different people would, and says which word names what.

WORDS is the table for checking generated captions against scenes.csv: property -> value -> the
words, lower case, that name this value and no other of the property. A caption is true of a scene
where each of its words that stands in the table stands there for the scene's own value.
"""

import random

from scenes import COLOURS, PEOPLE

# Singular and plural nouns; a child is also called what it is, a boy or a girl.
NOUNS = {
    "dog": [("dog", "dogs"), ("dog", "dogs"), ("puppy", "puppies")],
    "cat": [("cat", "cats"), ("cat", "cats"), ("kitten", "kittens")],
    "bird": [("bird", "birds")],
    "child": [("child", "children"), ("kid", "kids")],
    "woman": [("woman", "women"), ("woman", "women"), ("lady", "ladies")],
    "man": [("man", "men"), ("man", "men"), ("guy", "guys")],
}
BOYS = [("boy", "boys"), ("boy", "boys")]
GIRLS = [("girl", "girls"), ("girl", "girls")]

# Present of one, present of two, and participle.
VERBS = {
    "running": [("runs", "run", "running"), ("races", "race", "racing")],
    "jumping": [("jumps", "jump", "jumping"), ("leaps", "leap", "leaping")],
    "sitting": [("sits", "sit", "sitting"), ("rests", "rest", "resting")],
    "standing": [("stands", "stand", "standing"), ("waits", "wait", "waiting")],
    "swimming": [("swims", "swim", "swimming"), ("paddles", "paddle", "paddling")],
    "riding": [("rides", "ride", "riding"), ("pedals", "pedal", "pedaling")],
    "flying": [("flies", "fly", "flying"), ("soars", "soar", "soaring")],
}
COMMON_FORM = 0.7  # how often a verb is the first of its list

# Where it happens, by the kind of action.
STILL = {
    "meadow": ["in the meadow", "in a field", "on the grass", "in a grassy field"],
    "beach": ["on the beach", "on the sand", "on a sandy beach", "by the sea", "at the seaside"],
    "snow": ["in the snow", "on the snow", "on snowy ground"],
    "street": ["in the street", "on the road", "in a city street", "on the street in town"],
    "lake": ["by the lake", "beside a lake", "at the edge of a lake", "on the lakeshore"],
    "forest": ["in the forest", "in the woods", "on the forest floor", "in a wooded area"],
}
MOVING = {
    "meadow": ["through the meadow", "across a field", "over the grass", "across a grassy field"],
    "beach": ["along the beach", "across the sand", "on a sandy beach", "by the sea"],
    "snow": ["through the snow", "across the snow", "over snowy ground"],
    "street": ["down the street", "along the road", "down a city street", "through town"],
    "lake": ["along the lake", "beside a lake", "by the lake", "along the lakeshore"],
    "forest": ["through the forest", "through the woods", "through a wooded area"],
}
SWIMMING = {
    "beach": ["in the sea", "in the ocean", "off the beach", "near a sandy beach"],
    "lake": ["in the lake", "across the lake", "in a lake"],
}
FLYING = {
    "meadow": ["over the meadow", "above a field", "over the grass", "over a grassy field"],
    "beach": ["over the beach", "above the sand", "over a sandy beach", "by the sea"],
    "snow": ["over the snow", "above the snow", "over snowy ground"],
    "street": ["over the street", "above the road", "down a city street", "through town"],
    "lake": ["over the lake", "beside a lake", "by the lake", "above the lakeshore"],
    "forest": ["through the forest", "through the woods", "above the forest floor"],
}
PLACES = {"running": MOVING, "riding": MOVING, "swimming": SWIMMING, "flying": FLYING}

# What the thing has to do with it; a bicycle is the object of the verb.
BALL_PHRASES = {
    "running": ["with a ball", "after a ball"],
    "jumping": ["for a ball", "to catch a ball"],
    "standing": ["next to a ball", "near a ball", "with a ball"],
}
THING_PHRASES = {
    "kite": ["with a kite", "holding a kite", "holding a kite on a string"],
    "umbrella": ["under an umbrella", "holding an umbrella", "with an umbrella"],
    "boat": ["near a boat", "with a boat in the distance", "with a sailboat in the background"],
}
BICYCLES = ["a bicycle", "a bike", "a bike"]

CLUTTER_PHRASES = {
    "flowers": ["among flowers", "with flowers all around"],
    "trees": ["with trees behind", "between trees"],
    "palms": ["between palm trees", "with palm trees behind"],
    "rocks": ["near some rocks", "with rocks nearby"],
    "reeds": ["near some reeds", "with reeds nearby"],
    "cabin": ["near a cabin", "with a cabin in the background"],
    "lamp": ["near a lamp post", "with a lamp post behind"],
    "ferns": ["among ferns", "with ferns nearby"],
    "mushrooms": ["near some mushrooms", "with mushrooms nearby"],
}
SKY_PHRASES = {
    ("day", "clear"): ["on a sunny day", "under a clear sky"],
    ("day", "cloudy"): ["on a cloudy day", "under a cloudy sky"],
    ("dusk", "clear"): ["at dusk", "at sunset", "in the evening"],
    ("dusk", "cloudy"): ["at dusk", "in the evening", "on a cloudy evening"],
}

# Singular, and plural after "in".
GARMENTS = {
    "man": ("a {} jacket", "{} jackets"),
    "boy": ("a {} shirt", "{} shirts"),
    "woman": ("a {} dress", "{} dresses"),
    "girl": ("a {} dress", "{} dresses"),
    "swimmer": ("a {} swimsuit", "{} swimsuits"),
}
COATS = {"dog": "fur", "cat": "fur", "bird": "feathers"}

VAGUE = 0.15  # how often a terse caption calls the subject a person or an animal


def _forms(pairs):
    """Splits pairs of singular and plural into two lists, each word once."""
    return [list(dict.fromkeys(words)) for words in zip(*pairs, strict=True)]


_ALL_NOUNS = {**NOUNS, "child": [*NOUNS["child"], *BOYS, *GIRLS]}
_SINGULARS = [word for pairs in _ALL_NOUNS.values() for word in _forms(pairs)[0]]
_PLURALS = [word for pairs in _ALL_NOUNS.values() for word in _forms(pairs)[1]]

# Which words name which value of which property.
WORDS = {
    "setting": {
        "meadow": ["meadow", "field", "grass", "grassy"],
        "beach": ["beach", "sand", "sandy", "sea", "seaside", "ocean"],
        "snow": ["snow", "snowy"],
        "street": ["street", "road", "city", "town"],
        "lake": ["lake", "lakeshore"],
        "forest": ["forest", "woods", "wooded"],
    },
    "subject": {
        subject: [word for forms in _forms(pairs) for word in forms]
        for subject, pairs in _ALL_NOUNS.items()
    },
    "count": {"1": _SINGULARS, "2": [*_PLURALS, "two", "pair"]},
    "colour": {colour: [colour] for colour in COLOURS},
    "action": {
        action: list(dict.fromkeys(form for verb in verbs for form in verb))
        for action, verbs in VERBS.items()
    },
    "thing": {
        "ball": ["ball"],
        "kite": ["kite"],
        "bicycle": ["bicycle", "bike"],
        "umbrella": ["umbrella"],
        "boat": ["boat", "sailboat"],
    },
}


def write_captions(scene):
    """Writes the five captions of a scene.

    Args:
        scene: scenes.Scene.

    Returns:
        list of str: a terse one, a headline, a plain one, one that begins with the place and a
        detailed one, in any order.
    """
    choices = random.Random(f"{scene.seed} captions")
    writers = [_write_tersely, _write_headline, _write_plainly, _write_place_first, _write_fully]
    choices.shuffle(writers)
    return [_finish(writer(scene, choices)) for writer in writers]


def _finish(parts):
    text = " ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]} ."


def _write_tersely(scene, choices):
    who = _with_article(_noun(scene, choices), scene, choices)
    if choices.random() < VAGUE:
        who = _name_vaguely(scene)
    what, where = _present(scene, choices), _place(scene, choices)
    return choices.choice(
        [
            [who, what, where],
            [who, what, where],
            [who, _place(scene, choices, still=True)],
            [who, _progressive(scene, choices)],
        ]
    )


def _write_headline(scene, choices):
    who = _coloured(scene, choices) if choices.random() < 0.8 else _noun(scene, choices)
    if scene.count == 2:
        who = f"two {who}"
    return [who, _participle(scene, choices), _place(scene, choices)]


def _write_plainly(scene, choices):
    who = _with_article(_coloured(scene, choices), scene, choices)
    parts = [who, _progressive(scene, choices)]
    return [*parts, *_place_and_thing(scene, choices)]


def _write_place_first(scene, choices):
    noun = _coloured(scene, choices) if choices.random() < 0.6 else _noun(scene, choices)
    who = _with_article(noun, scene, choices)
    thing = _thing(scene, choices)
    if choices.random() < 0.5:
        there = f"there is {who}" if scene.count == 1 else f"there are two {noun}"
        return [there, _participle(scene, choices), _place(scene, choices)]
    return [_place(scene, choices), ",", who, _present(scene, choices), thing]


def _write_fully(scene, choices):
    who = _with_article(_coloured(scene, choices), scene, choices)
    extras = []
    # The leaves of a forest hide its sky.
    if scene.setting != "forest":
        extras += SKY_PHRASES[scene.light, scene.weather]
    if scene.clutter != "none":
        extras += CLUTTER_PHRASES[scene.clutter]
    extra = choices.choice(extras) if extras else ""
    return [who, _present(scene, choices), *_place_and_thing(scene, choices), extra]


def _place_and_thing(scene, choices):
    """Names the place and the thing; jumping for a ball comes before the place."""
    place, thing = _place(scene, choices), _thing(scene, choices)
    return [thing, place] if scene.thing == "ball" else [place, thing]


def _noun(scene, choices):
    pairs = list(NOUNS[scene.subject])
    if scene.subject == "child":
        pairs += GIRLS if scene.girl else BOYS
    return choices.choice(pairs)[scene.count - 1]


def _name_vaguely(scene):
    if scene.subject in PEOPLE:
        return "a person" if scene.count == 1 else "two people"
    return "an animal" if scene.count == 1 else "two animals"


def _coloured(scene, choices):
    """Names the subject and its colour, without an article."""
    noun = _noun(scene, choices)
    if scene.subject not in PEOPLE:
        if choices.random() < 0.8:
            return f"{scene.colour} {noun}"
        return f"{noun} with {scene.colour} {COATS[scene.subject]}"
    wearer = scene.subject
    if wearer == "child":
        wearer = "girl" if scene.girl else "boy"
    if scene.action == "swimming":
        wearer = "swimmer"
    garment = GARMENTS[wearer][scene.count - 1].format(scene.colour)
    return choices.choice([f"{noun} in {garment}", f"{noun} in {scene.colour}"])


def _with_article(words, scene, choices):
    if scene.count == 2:
        return choices.choice(["two", "two", "a pair of"]) + f" {words}"
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _verb(scene, choices, form):
    verbs = VERBS[scene.action]
    verb = verbs[0] if choices.random() < COMMON_FORM else choices.choice(verbs[1:])
    words = verb[form]
    return f"{words} {choices.choice(BICYCLES)}" if scene.action == "riding" else words


def _present(scene, choices):
    return _verb(scene, choices, scene.count - 1)


def _participle(scene, choices):
    return _verb(scene, choices, 2)


def _progressive(scene, choices):
    return ("is " if scene.count == 1 else "are ") + _participle(scene, choices)


def _place(scene, choices, still=False):
    """Names the place; `still` is for a caption that leaves the action out."""
    places = PLACES.get(scene.action, STILL)
    if still and scene.action in ("running", "riding"):
        places = STILL
    return choices.choice(places[scene.setting])


def _thing(scene, choices):
    if scene.thing == "ball":
        return choices.choice(BALL_PHRASES[scene.action])
    return choices.choice(THING_PHRASES.get(scene.thing, [""]))
