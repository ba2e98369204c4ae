"""Captions a scene as five different people would, and says which word names what.

WORDS is the table for checking generated captions against scenes.csv: property -> value -> the
words, lower case, that name this value and no other of the property.
"""

import re

from scenes import SUBJECT_COLOURS, Scene

# One and two of each subject.
NOUNS = {
    "dog": ["dog dogs", "puppy puppies"],
    "cat": ["cat cats", "kitten kittens"],
    "bird": ["bird birds"],
    "child": ["child children", "girl girls", "kid kids"],
    "woman": ["woman women", "lady ladies"],
    "man": ["man men", "guy guys"],
}
# What one does, what two do, and the participle.
VERBS = {
    "running": ["runs run running", "races race racing"],
    "jumping": ["jumps jump jumping", "leaps leap leaping"],
    "sitting": ["sits sit sitting", "rests rest resting"],
    "standing": ["stands stand standing", "waits wait waiting"],
    "swimming": ["swims swim swimming", "paddles paddle paddling"],
    "riding": ["rides ride riding", "pedals pedal pedaling"],
    "flying": ["flies fly flying", "soars soar soaring"],
}
# The names of each setting, and where someone is who stays there and who moves on.
PLACES = {
    "meadow": (["the meadow", "a field", "a grassy field"], ["in"], ["through", "across"]),
    "beach": (["the beach", "the sand", "a sandy beach"], ["on"], ["along", "across"]),
    "snow": (["the snow", "the snow", "deep snow"], ["in"], ["through", "across"]),
    "street": (["the street", "the road", "a city street"], ["on"], ["down", "along"]),
    "lake": (["the lake", "a lake", "the lakeshore"], ["by", "beside"], ["along", "by"]),
    "forest": (["the forest", "the woods", "a wooded area"], ["in"], ["through"]),
}
WATERS = {"beach": ["in the sea", "in the ocean", "off the beach"], "lake": ["in the lake"]}

# How each of five people writes: tersely, in a headline, plainly, the place first, in detail.
WRITERS = [
    ["{some} {noun} {does} {where}", "{some} {noun} {is} {doing}"],
    ["{two}{coloured} {doing} {where}", "{two}{noun} {doing} {where}"],
    ["{some} {coloured} {is} {doing} {where}"],
    ["{where} , {some} {coloured} {does}", "there {is} {some} {noun} {doing} {where}"],
    ["{some} {detailed} {does} {where}", "{some} {detailed} {is} {doing} {where}"],
]
FIELD = re.compile(r"\{(\w+)\}")

SMALL_WORDS = {"a", "the", "in", "off", "deep", "area"}
# Which words name which value of which property.
WORDS = {
    "setting": {
        setting: sorted(set(" ".join(names + WATERS.get(setting, [])).split()) - SMALL_WORDS)
        for setting, (names, _, _) in PLACES.items()
    },
    "subject": {subject: sorted(set(" ".join(NOUNS[subject]).split())) for subject in NOUNS},
    "colour": {colour: [colour] for pair in SUBJECT_COLOURS.values() for colour in pair},
    "action": {action: sorted(set(" ".join(VERBS[action]).split())) for action in VERBS},
}


def write_captions(scene: Scene) -> list[str]:
    """Writes five captions, one of each writer, in any order."""
    choices = scene.choices("the captions")
    phrases = _phrases(scene)

    def fill(field: re.Match) -> str:
        return FIELD.sub(fill, choices.choice(phrases[field[1]]))

    captions = [FIELD.sub(fill, choices.choice(templates)) for templates in WRITERS]
    choices.shuffle(captions)
    captions = [f"{caption[0].upper()}{caption[1:]} ." for caption in captions]
    return [re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", caption) for caption in captions]


def _phrases(scene: Scene) -> dict[str, list[str]]:
    """Lists what may stand for each field of a template."""
    form = scene.count - 1
    animal = scene.subject in ("dog", "cat", "bird")
    coat = "feathers" if scene.subject == "bird" else "fur"
    names, stays, moves = PLACES[scene.setting]
    if scene.action == "flying" and scene.setting != "forest":
        moves = ["over", "above"]
    before = moves if scene.action in ("running", "riding", "flying") else stays
    where = [f"{word} {name}" for word in before for name in names]
    vehicle = [" a bicycle", " a bike"] if scene.action == "riding" else [""]
    verbs = [verb.split() for verb in VERBS[scene.action]]
    return {
        "some": (["a"], ["two", "two", "a pair of"])[form],
        "two": ([""], ["two "])[form],
        "is": (["is"], ["are"])[form],
        "noun": [noun.split()[form] for noun in NOUNS[scene.subject]],
        "colour": [scene.colour],
        "coloured": ["{colour} {noun}"] if animal else ["{noun} in {colour}"],
        "detailed": ["{noun} with {colour} " + coat] if animal else ["{noun} wearing {colour}"],
        "does": [verb[form] + thing for verb in verbs for thing in vehicle],
        "doing": [verb[2] + thing for verb in verbs for thing in vehicle],
        "where": WATERS[scene.setting] if scene.action == "swimming" else where,
    }
