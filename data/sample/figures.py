"""Draws animals and people from tables of their parts and poses, by one loop."""

from math import cos, pi, sin
from random import Random

from brush import Brush, Colour, shade

SKINS = ((244, 208, 178), (226, 178, 140), (178, 122, 84), (112, 72, 50))
HAIRS = ((52, 36, 28), (98, 62, 34), (30, 26, 28), (168, 120, 62))
COLOURS = {
    "black": (36, 28, 30),
    "white": (246, 246, 240),
    "pink": (222, 140, 140),
    "iris": (168, 206, 84),
    "beak": (242, 160, 40),
    "collar": (120, 60, 150),
    "trousers": (58, 62, 78),
    "frame": (150, 84, 176),
    "steel": (178, 178, 182),
}
# How light a shade is, by the word before the name of a colour.
SHADES = {"": 1.0, "near": 0.92, "dark": 0.78, "far": 0.74, "deep": 0.66}

# The parts of each body in the order in which they are drawn: the width of a limb at its joints
# (fewer widths than joints draw the first joints only) or None for a filled outline, and the shade.
PERSON = [
    ("far leg", (1.65, 1.35, 0.95, 0.75), "black"),  # the last joint is the tip of the shoe
    ("far leg", (1.65, 1.35, 0.95), "far legs"),
    ("far arm", (1.0, 0.9, 0.75, 0.9), "far skin"),
    ("far arm", (1.3, 1.2, 1.0), "far coat"),
    ("near leg", (1.65, 1.35, 0.95, 0.75), "black"),
    ("near leg", (1.65, 1.35, 0.95), "legs"),
    ("torso", (1.0, 1.0, 1.0, 1.0), "near skin"),
    ("torso", (2.7, 2.7, 3.2), "coat"),
    ("skirt", None, "near coat"),
    ("head", None, None),
    ("near arm", (1.0, 0.9, 0.75, 0.9), "near skin"),
    ("near arm", (1.3, 1.2, 1.0), "near coat"),
]
PARTS = {
    "dog": [
        ("far foreleg", (15, 10, 8), "far coat"),
        ("far hind leg", (20, 15, 9, 8), "far coat"),
        ("tail", (10, 10, 5), "coat"),
        ("body", (28, 27, 34), "coat"),
        ("seat", (40, 38, 32), "coat"),
        ("neck", (28, 20), "coat"),
        ("near hind leg", (26, 17, 9, 9), "near coat"),
        ("near foreleg", (17, 11, 9), "near coat"),
        ("head", None, None),
    ],
    "cat": [
        ("far foreleg", (15, 10, 8.5), "far coat"),
        ("far hind leg", (18, 15, 8.5, 8.5), "far coat"),
        ("tail", (10.5, 10.5, 10, 7.5), "coat"),
        ("body", (32, 28, 31), "coat"),
        ("front", None, "coat"),
        ("near hind leg", (24, 17, 10, 10), "near coat"),
        ("near foreleg", (16, 11, 10), "near coat"),
        ("other foreleg", (16, 11, 10), "near coat"),
        ("head", None, None),
    ],
    "bird": [
        ("far wing", None, "deep coat"),
        ("far leg", (3, 3, 3, 2), "dark beak"),
        ("near leg", (4, 3, 3, 2), "beak"),
        ("tail", None, "far coat"),
        ("body", None, "coat"),
        ("neck", (24, 15, 15), "coat"),
        ("near wing", None, "dark coat"),
        ("head", None, None),
    ],
    "child": [row for row in PERSON if row[0] != "skirt"],
    "woman": PERSON,
    "man": [row for row in PERSON if row[0] != "skirt"],
}
# What the widths are multiples of, in hundredths of the height.
WIDTHS = {"dog": 1, "cat": 1, "bird": 1, "child": 9.2, "woman": 5.6, "man": 7.6}

# Where joints and outlines are, in hundredths of the height: x forward, y up, the ground at 0. Of a
# head, where it is, and the degrees by which it is raised.
DOG_POSES = {
    "standing": {
        "far foreleg": [(30, 46), (33, 24), (34, 5)],
        "far hind leg": [(-24, 48), (-16, 30), (-28, 20), (-24, 5)],
        "tail": [(-40, 58), (-58, 74), (-54, 100), (-68, 124)],
        "body": [(-28, 52), (0, 51), (24, 53)],
        "neck": [(26, 58), (47, 86)],
        "near hind leg": [(-30, 48), (-24, 30), (-37, 20), (-34, 4)],
        "near foreleg": [(24, 46), (25, 24), (25, 4)],
        "head": (47, 86, 0),
    },
    "running": {
        "far foreleg": [(30, 46), (56, 47), (80, 42)],
        "far hind leg": [(-24, 43), (-44, 40), (-63, 31), (-83, 28)],
        "tail": [(-41, 54), (-64, 60), (-86, 63), (-108, 74)],
        "body": [(-28, 51), (0, 51), (24, 54)],
        "neck": [(25, 59), (60, 77)],
        "near hind leg": [(-30, 42), (-45, 34), (-61, 21), (-78, 14)],
        "near foreleg": [(26, 43), (50, 39), (73, 28)],
        "head": (60, 77, 3),
    },
    "jumping": {
        "far foreleg": [(29, 59), (51, 64), (49, 48)],
        "far hind leg": [(-24, 35), (-25, 13), (-35, -4), (-40, -22)],
        "tail": [(-42, 41), (-65, 47), (-76, 68), (-100, 76)],
        "body": [(-28, 40), (-2, 50), (19, 62)],
        "neck": [(18, 67), (26, 102)],
        "near hind leg": [(-28, 34), (-33, 12), (-45, -2), (-52, -21)],
        "near foreleg": [(24, 55), (46, 55), (42, 39)],
        "head": (26, 102, 24),
    },
    "sitting": {
        "far foreleg": [(22, 46), (27, 24), (28, 4)],
        "tail": [(-34, 8), (-56, 6), (-72, 20)],
        "seat": [(-20, 18), (-4, 38), (12, 56)],
        "neck": [(12, 58), (20, 84)],
        "near hind leg": [(-16, 20), (6, 24), (-2, 6), (12, 4)],
        "near foreleg": [(15, 48), (19, 24), (19, 4)],
        "head": (22, 86, 0),
    },
}
SITTING_CAT = {
    "tail": [(-24, 10), (-59, 6), (-76, 22), (-61, 41)],
    "front": [(2, 93), (20, 73), (24, 46), (32, 17), (22, 0), (-27, 0), (-39, 17), (-22, 60)],
    "near foreleg": [(-4, 42), (-4, 22), (-3, 4)],
    "other foreleg": [(12, 42), (12, 22), (13, 4)],
    "head": (6, 112, 0),
}
BIRD_POSES = {
    "standing": {
        "far leg": [(6, 34), (4, 17), (8, 2), (20, 0)],
        "near leg": [(-4, 34), (-6, 17), (-2, 2), (10, 0)],
        "tail": [(-20, 42), (-66, 14), (-74, 22), (-24, 58)],
        "body": [(12, 92), (32, 68), (26, 42), (4, 28), (-22, 32), (-42, 36), (-28, 58)],
        "near wing": [(10, 66), (8, 46), (-14, 36), (-50, 26), (-30, 56)],
        "head": (22, 86, 0),
    },
    "flying": {
        "far wing": [(14, 6), (30, 32), (34, 62), (22, 90), (10, 60), (-2, 32), (-10, 6)],
        "tail": [(-30, 5), (-70, 12), (-76, -2), (-68, -12), (-30, -8)],
        "body": [(40, 10), (30, -12), (0, -17), (-40, -4), (-30, 8), (10, 15)],
        "near wing": [(18, 4), (14, 36), (-10, 66), (-46, 84), (-36, 50), (-26, 24), (-16, 0)],
        "head": (42, 7, 0),
    },
    "swimming": {
        "tail": [(-36, 22), (-70, 40), (-62, 12)],
        "body": [(46, 22), (40, -2), (0, -10), (-40, -2), (-56, 22), (-30, 32), (30, 36)],
        "neck": [(30, 20), (42, 42), (36, 66)],
        "near wing": [(18, 26), (8, 6), (-20, 4), (-52, 20), (-20, 30)],
        "head": (38, 70, 0),
    },
}
PERSON_POSES = {
    "standing": {
        "far leg": [(0, 50), (-4, 25), (-6, 2), (2, 1)],
        "far arm": [(0, 78), (-5, 61), (-6, 49), (-6, 46)],
        "near leg": [(0, 50), (3, 25), (4, 2), (12, 1)],
        "torso": [(0, 50), (0, 66), (0, 73), (0, 87)],
        "skirt": [(-6, 66), (6, 66), (10, 50), (17, 9), (0, 5), (-17, 9), (-10, 50)],
        "near arm": [(0, 78), (4, 61), (10, 50), (12, 48)],
        "head": (0, 81, 0),
    },
    "running": {
        "far leg": [(0, 47), (-16, 27), (-41, 28), (-41, 19)],
        "far arm": [(9, 73), (23, 63), (33, 70), (35, 72)],
        "near leg": [(0, 47), (24, 38), (19, 13), (27, 11)],
        "torso": [(0, 47), (5, 62), (8, 69), (12, 82)],
        "skirt": [(-1, 63), (12, 62), (32, 40), (30, 22), (0, 15), (-30, 18), (-34, 28), (-9, 50)],
        "near arm": [(9, 73), (-6, 65), (-1, 54), (1, 51)],
        "head": (11, 77, -10),
    },
    "jumping": {
        "far leg": [(0, 51), (-17, 32), (-42, 26), (-40, 18)],
        "far arm": [(1, 78), (-17, 86), (-26, 100), (-27, 104)],
        "near leg": [(0, 51), (19, 34), (4, 14), (11, 9)],
        "torso": [(0, 51), (1, 66), (1, 74), (1, 88)],
        "skirt": [
            (-6, 66),
            (7, 66),
            (28, 36),
            (16, 20),
            (-10, 17),
            (-34, 22),
            (-32, 34),
            (-10, 50),
        ],
        "near arm": [(1, 78), (20, 86), (30, 100), (31, 104)],
        "head": (1, 82, -1),
    },
    "sitting": {
        "far leg": [(0, 12), (24, 24), (38, 3), (46, 5)],
        "far arm": [(-4, 39), (-14, 24), (-20, 10), (-21, 7)],
        "near leg": [(0, 12), (22, 27), (32, 3), (40, 4)],
        "torso": [(0, 12), (-2, 28), (-3, 35), (-5, 49)],
        "skirt": [(-9, 30), (5, 29), (22, 34), (34, 22), (36, 9), (12, 3), (-10, 2), (-13, 12)],
        "near arm": [(-4, 39), (6, 27), (18, 29), (21, 29)],
        "head": (-4, 43, 4),
    },
    "swimming": {
        "far leg": [(-30, -4), (-53, -16), (-78, -21), (-76, -29)],
        "far arm": [(-9, 14), (6, 6), (18, 3), (21, 3)],
        "near leg": [(-30, -4), (-54, -13), (-79, -15), (-79, -24)],
        "torso": [(-30, -4), (-18, 5), (-12, 10), (-3, 20)],
        "near arm": [(-9, 14), (8, 15), (24, 20), (28, 21)],
        "head": (-6, 15, -16),
    },
    "riding": {
        "far leg": [(-12, 57), (3, 36), (4, 12), (13, 12)],
        "near leg": [(-12, 57), (14, 56), (8, 32), (17, 30)],
        "torso": [(-12, 57), (-4, 70), (1, 76), (7, 89)],
        "skirt": [(-10, 70), (3, 68), (20, 60), (18, 44), (12, 30), (-2, 28), (-14, 44), (-20, 56)],
        "near arm": [(3, 80), (15, 68), (26, 60), (29, 58)],
        "head": (5, 83, -14),
    },
}
POSES = {
    "dog": DOG_POSES | {"swimming": DOG_POSES["standing"]},
    "cat": DOG_POSES | {"sitting": SITTING_CAT},
    "bird": BIRD_POSES,
    **dict.fromkeys(("child", "woman", "man"), PERSON_POSES),
}

# The shapes of each head: a method of the brush, its arguments, a colour. A radius of people's is
# 100.
FACE = [
    ("oval", (0, 0), 92, 104, "skin"),
    ("oval", (90, -12), 16, 16, "skin"),
    ("oval", (46, 8), 12, 15, "black"),
    ("limb", [(38, -46), (56, -50), (72, -44)], 9, "dark pink"),
]
CURLS = [(-104, -20), (-104, 50), (-50, 110), (35, 114), (96, 62), (10, 56), (-42, -40), (-80, -60)]
HEADS = {
    "dog": [
        ("limb", [(-14, -16), (-1, -22)], 5, "collar"),
        ("limb", [(0, 0), (24, -6)], (24, 12), "coat"),
        ("limb", [(6, -8), (20, -12)], (8, 5), "dark coat"),
        ("oval", (30, -4), 3.6, 3.6, "black"),
        ("blob", [(-10, 10), (0, 10), (1, -6), (-8, -18), (-15, -8)], "deep coat"),
        ("oval", (8, 4), 2.2, 2.2, "black"),
    ],
    "cat": [
        ("patch", [(-17, 2), (-15, 27), (0, 10), (15, 27), (17, 2)], "coat"),
        ("patch", [(-14, 6), (-14, 20), (0, 10), (14, 20), (14, 6)], "pink"),
        ("oval", (0, 0), 18, 15.5, "coat"),
        ("oval", (-7.5, 3), 3.4, 3.8, "iris"),
        ("oval", (7.5, 3), 3.4, 3.8, "iris"),
        ("oval", (-7.5, 3), 1.3, 3.4, "black"),
        ("oval", (7.5, 3), 1.3, 3.4, "black"),
        ("limb", [(-25, -3), (0, -6), (25, -3)], 0.9, "white"),
        ("limb", [(-24, -10), (0, -6), (24, -10)], 0.9, "white"),
        ("oval", (0, -4.5), 2.2, 1.6, "pink"),
    ],
    "bird": [
        ("patch", [(10, 6), (30, -2), (10, -8)], "beak"),
        ("oval", (0, 0), 14, 14, "coat"),
        ("oval", (6, 3.5), 3.4, 3.4, "white"),
        ("oval", (6.6, 3.5), 2.1, 2.1, "black"),
    ],
    "child": [
        *FACE,
        ("blob", CURLS, "hair"),
        ("limb", [(-85, 35), (-150, 30), (-175, -50)], (42, 55, 25), "hair"),
        ("oval", (-98, 36), 24, 24, "coat"),
    ],
    "woman": [
        ("limb", [(-30, 40), (-80, -60), (-110, -200)], (130, 110, 60), "dark hair"),
        *FACE,
        ("blob", CURLS, "hair"),
    ],
    "man": [
        *FACE,
        ("blob", CURLS, "hair"),
        ("limb", [(-62, -40), (-20, -92), (50, -92)], (30, 56, 44), "hair"),
    ],
}
# Where the origin of each head is, from the place that a pose gives, and its size.
HEAD_PLACES = {
    "dog": (0, 0, 1),
    "cat": (-4, -7, 1.22),
    "bird": (0, 0, 1),
    "child": (0, 17, 0.17),
    "woman": (0, 10, 0.082),
    "man": (0, 10, 0.082),
}

BACK, FRONT, PEDALS, SEAT, HANDLE = (-33, 20), (41, 20), (6, 21), (-10, 50), (28, 57)
FRAME = [(BACK, PEDALS), (BACK, SEAT), (PEDALS, SEAT), (PEDALS, HANDLE), (FRONT, HANDLE)]
SPOKES = [
    [(x - 19 * cos(turn), y - 19 * sin(turn)), (x + 19 * cos(turn), y + 19 * sin(turn))]
    for x, y in (BACK, FRONT)
    for turn in (0, pi / 3, 2 * pi / 3)
]
BICYCLE = [
    *(("limb", spoke, 0.8, "steel") for spoke in SPOKES),
    *(("ring", hub, 20, 4, "black") for hub in (BACK, FRONT)),
    *(("limb", tube, 4, "frame") for tube in FRAME),
    ("limb", [SEAT, HANDLE], 4, "frame"),
    ("limb", [(-18, 52), (-4, 52)], (5, 3), "black"),
    ("ring", PEDALS, 5, 2, "black"),
]


def draw_figure(brush: Brush, subject: str, action: str, colour: Colour, choices: Random) -> None:
    """Draws an animal or a person of a colour; skin and hair are left to chance.

    The brush has its origin on the ground or the water, its unit is a hundredth of the height.
    """
    palette = COLOURS | {"coat": colour}
    palette |= {"skin": choices.choice(SKINS), "hair": choices.choice(HAIRS)}
    palette["legs"] = palette["skin" if subject == "woman" else "trousers"]
    pose = POSES[subject][action]
    if action == "riding":
        _draw_shapes(brush, BICYCLE, palette)
    for part, widths, name in PARTS[subject]:
        if part == "head":
            x, y, raised = pose["head"]
            head = brush.moved(x, y, angle=raised).moved(*HEAD_PLACES[subject])
            _draw_shapes(head, HEADS[subject], palette)
        elif part in pose and widths is None:
            brush.blob(pose[part], _pick(palette, name))
        elif part in pose:
            widths = [width * WIDTHS[subject] for width in widths]
            brush.limb(pose[part][: len(widths)], widths, _pick(palette, name))


def _draw_shapes(brush, shapes, palette):
    for method, *arguments, name in shapes:
        getattr(brush, method)(*arguments, _pick(palette, name))


def _pick(palette, name):
    light, _, base = name.rpartition(" ")
    return shade(palette[base], SHADES[light])
