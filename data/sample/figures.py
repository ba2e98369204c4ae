"""Draws animals and people from tables of their parts and poses, by one loop."""

from random import Random

import numpy as np
from brush import Brush, shade

SKINS = ((244, 208, 178), (226, 178, 140), (178, 122, 84), (112, 72, 50))
HAIRS = ((52, 36, 28), (98, 62, 34), (30, 26, 28), (168, 120, 62))
COLOURS = {
    "black": (30, 28, 34),
    "brown": (134, 82, 44),
    "white": (248, 246, 240),
    "orange": (236, 142, 54),
    "red": (214, 34, 42),
    "pink": (244, 110, 176),
    "blue": (34, 72, 204),
    "yellow": (250, 214, 40),
    "green": (28, 150, 70),
    "collar": (120, 60, 150),
    "trousers": (58, 62, 78),
}
# How light a shade is, by the word before the name of a colour.
SHADES = {"": 1.0, "near": 0.92, "dark": 0.78, "far": 0.74, "deep": 0.66}

# The limbs of each kind of body: which joint of which limb each hangs from, and the lengths from
# joint to joint in hundredths of the height.
SKELETONS = {
    "animal": {
        "body": ("place", 0, (28, 24)),
        "neck": ("body", 2, (39,)),
        "tail": ("body", 0, (34, 25, 27)),
        "far foreleg": ("body", 2, (28, 22, 28)),  # a bird's wing, longer than a leg
        "far hind leg": ("body", 0, (22, 18, 17, 12)),
        "near foreleg": ("body", 2, (28, 22, 28)),
        "near hind leg": ("body", 0, (22, 18, 17, 12)),
    },
    "person": {
        "torso": ("place", 0, (16, 7, 5)),
        "neck": ("torso", 3, (9,)),
        "far arm": ("torso", 3, (17, 12, 4)),
        "near arm": ("torso", 3, (17, 12, 4)),
        "far leg": ("place", 0, (26, 24, 8)),
        "near leg": ("place", 0, (26, 24, 8)),
    },
}
# For each action, where the first limb begins, forward and up, and the angles of each limb of the
# skeleton in degrees from straight down, forward positive; the last one goes on to the limb's end.
POSES = {
    "animal": """
    standing | -28 52 |  88  95 | 143 | -128  170 -150 |  14  2 |  24 -50  15 |  3   0 |  14 -52  11
    running  | -28 51 |  90  97 | 120 | -105  -98 -117 |  98 75 | -75 -65 -81 | 88  62 | -60 -51 -68
    jumping  | -28 40 | 111 120 | 158 | -105 -155 -108 |  97 -7 |  -3 -30 -16 | 84 -14 | -13 -41 -20
    sitting  | -20 14 | 141 138 | 155 |  -82 -100 -150 |  10  3 | 100 -24  82 |  4   0 | 100 -24  82
    swimming | -28 52 |  88  95 | 143 | -128  170 -150 |  14  2 |  24 -50  15 | 40  60 |  14 -52  11
    """,
    "bird": """
    standing | -34 34 | 118 132 | 140 |  -62 | -58 -64 | 100 10 6 96 | -50 -56 -66 | 84 -30 -4 96
    flying   | -40  0 |  90  94 | 100 |  -92 | 165 178 | 85 -90 90    | -155 -140   | 85 -90 90
    swimming | -40  8 |  86 100 | 160 | -115 | -80 -98 | 90           | -80 -98     | 90
    """,
    "person": """
    standing |   0 50 |  180 | 180 |  -16   -5 |  13  29 |  -9  -5 83 |   7   2 83
    running  |   0 47 |  160 | 160 |   54  125 | -62  24 | -39 -92  0 |  69 -11 76
    jumping  |   0 51 |  179 | 179 | -114 -150 | 113 150 | -42 -77 14 |  48 -37 54
    sitting  |   0 12 | -173 | -173 |  -34  -20 |  40  99 | 117  34 99 | 124  23 97
    swimming | -30 -4 |  130 | 130 |   62   80 |  93 107 | -62 -79 14 | -69 -85  0
    riding   | -12 57 |  146 | 146 |   45   55 |  45  55 |  36   2 90 |  88 -14 77
    """,
}

# What of each body is painted, in order: a limb, its width at each joint (fewer widths than joints
# draw the first joints only), and its shade.
ANIMAL = [
    ("far foreleg", (16, 10, 8), "far coat"),
    ("far hind leg", (24, 15, 9, 8), "far coat"),
    ("body", (32, 28, 34), "coat"),
    ("near hind leg", (27, 17, 9, 9), "near coat"),
    ("near foreleg", (18, 11, 9), "near coat"),
    ("head", (), ""),
]
PERSON = [
    ("far leg", (1.65, 1.35, 0.95, 0.75), "black"),  # the last joint is the tip of the shoe
    ("far leg", (1.65, 1.35, 0.95), "far legs"),
    ("far arm", (1.0, 0.9, 0.75, 0.9), "far skin"),
    ("far arm", (1.3, 1.2, 1.0), "far coat"),
    ("near leg", (1.65, 1.35, 0.95, 0.75), "black"),
    ("near leg", (1.65, 1.35, 0.95), "legs"),
    ("neck", (1.0, 1.0), "near skin"),
    ("torso", (2.7, 2.7, 3.2), "coat"),
    ("skirt", (2.5, 2.9, 3.4), "near coat"),
    ("head", (), ""),
    ("near arm", (1.0, 0.9, 0.75, 0.9), "near skin"),
    ("near arm", (1.3, 1.2, 1.0), "near coat"),
]
PARTS = {
    "dog": [("tail", (10, 10, 5), "coat"), ("neck", (30, 20), "coat"), *ANIMAL],
    "cat": [("tail", (10, 10, 9, 7), "coat"), *ANIMAL],
    "bird": [
        ("far foreleg", (20, 30, 24, 3), "deep coat"),
        ("far hind leg", (3, 3, 3, 3, 2), "dark orange"),
        ("near hind leg", (4, 3, 3, 3, 2), "orange"),
        ("tail", (18, 15), "far coat"),
        ("body", (22, 42, 42), "coat"),
        ("neck", (40, 25), "coat"),
        ("near foreleg", (20, 30, 24, 3), "dark coat"),
        ("head", (), ""),
    ],
}

# The shapes of each head: a method of the brush, its arguments, a colour. Of people's, the
# radius is 100.
FACE = [
    ("oval", (0, 0), 92, 104, "skin"),
    ("oval", (90, -12), 16, 16, "skin"),
    ("oval", (46, 8), 12, 15, "black"),
    ("limb", [(38, -46), (56, -50), (72, -44)], 9, "deep pink"),
    ("limb", [(70, 78), (0, 92), (-68, 50), (-76, -26)], (36, 54, 72, 44), "hair"),
]
HEADS = {
    "dog": [
        ("limb", [(-14, -16), (-1, -22)], 5, "collar"),
        ("limb", [(0, 0), (24, -6)], (24, 12), "coat"),
        ("oval", (30, -4), 3.6, 3.6, "black"),
        ("limb", [(-5, 6), (-6, -4), (-9, -14)], (11, 15, 8), "deep coat"),
        ("oval", (8, 4), 2.2, 2.2, "black"),
    ],
    "cat": [
        ("patch", [(-17, 2), (-15, 27), (0, 10), (15, 27), (17, 2)], "coat"),
        ("patch", [(-14, 6), (-14, 20), (0, 10), (14, 20), (14, 6)], "deep pink"),
        ("oval", (0, 0), 18, 15.5, "coat"),
        ("oval", (-7.5, 3), 3.4, 3.8, "yellow"),
        ("oval", (7.5, 3), 3.4, 3.8, "yellow"),
        ("oval", (-7.5, 3), 1.3, 3.4, "black"),
        ("oval", (7.5, 3), 1.3, 3.4, "black"),
        ("limb", [(-25, -3), (0, -6), (25, -3)], 0.9, "white"),
        ("limb", [(-24, -10), (0, -6), (24, -10)], 0.9, "white"),
        ("oval", (0, -4.5), 2.2, 1.6, "deep pink"),
    ],
    "bird": [
        ("patch", [(10, 6), (30, -2), (10, -8)], "orange"),
        ("oval", (0, 0), 14, 14, "coat"),
        ("oval", (6, 3.5), 3.4, 3.4, "white"),
        ("oval", (6.6, 3.5), 2.1, 2.1, "black"),
    ],
    "child": [
        *FACE,
        ("limb", [(-85, 35), (-150, 30), (-175, -50)], (42, 55, 25), "hair"),
        ("oval", (-98, 36), 24, 24, "coat"),
    ],
    "woman": [
        ("limb", [(-30, 40), (-80, -60), (-110, -200)], (130, 110, 60), "dark hair"),
        *FACE,
    ],
    "man": [
        *FACE,
        ("limb", [(-62, -40), (-20, -92), (50, -92)], (30, 56, 44), "hair"),
    ],
}
# The skeleton and poses of each subject, what its widths are multiples of, and its head: where the
# origin is from the end of the neck, and the size.
BODIES = {
    "dog": ("animal", "animal", 1, (0, 0, 1)),
    "cat": ("animal", "animal", 1, (-4, -7, 1.22)),
    "bird": ("animal", "bird", 1, (0, 0, 1)),
    "child": ("person", "person", 9.2, (0, 11, 0.17)),
    "woman": ("person", "person", 5.6, (0, 4, 0.082)),
    "man": ("person", "person", 7.6, (0, 4, 0.082)),
}

BACK, FRONT, PEDALS, SEAT, HANDLE = (-33, 20), (41, 20), (6, 21), (-10, 50), (28, 57)
FRAME = [(BACK, PEDALS), (BACK, SEAT), (PEDALS, SEAT), (PEDALS, HANDLE), (FRONT, HANDLE)]
BICYCLE = [
    *(("ring", hub, 20, 4, "black") for hub in (BACK, FRONT)),
    *(("limb", tube, 4, "collar") for tube in FRAME),
    ("limb", [SEAT, HANDLE], 4, "collar"),
    ("limb", [(-18, 52), (-4, 52)], (5, 3), "black"),
]


def draw_figure(brush: Brush, subject: str, action: str, colour: str, choices: Random) -> None:
    """Draws an animal or a person of a colour; skin and hair are left to chance.

    The brush has its origin on the ground or the water, its unit is a hundredth of the height.
    """
    own = {"coat": COLOURS[colour], "skin": choices.choice(SKINS), "hair": choices.choice(HAIRS)}
    own["legs"] = own["skin"] if subject == "woman" else COLOURS["trousers"]
    palette = {
        f"{light} {name}".strip(): shade(value, factor)
        for light, factor in SHADES.items()
        for name, value in (COLOURS | own).items()
    }
    skeleton, poses, width, head = BODIES[subject]
    joints = _bend(SKELETONS[skeleton], POSES[poses], action)
    if action == "riding":
        _draw_shapes(brush, BICYCLE, palette)
    for part, widths, name in PARTS.get(subject, PERSON):
        widths = np.multiply(widths, width)
        if part == "head":
            _draw_shapes(brush.moved(*joints["neck"][-1], 1).moved(*head), HEADS[subject], palette)
        elif part == "skirt" and subject == "woman":
            # As many legs of cloth as fill what lies between the two.
            for share in np.linspace(0, 1, 7):
                leg = joints["far leg"] + share * (joints["near leg"] - joints["far leg"])
                brush.limb([*leg[:2], 0.4 * leg[1] + 0.6 * leg[2]], widths, palette[name])
        elif part in joints:
            brush.limb(joints[part][: len(widths)], widths, palette[name])


def _bend(skeleton: dict[str, tuple], poses: str, action: str) -> dict[str, np.ndarray]:
    """Finds the joints (n, 2) of every limb in a pose."""
    rows = [line.split("|") for line in poses.strip().splitlines()]
    cells = next(cells for name, *cells in rows if name.strip() == action)
    place, *angles = [np.array(cell.split(), dtype=float) for cell in cells]
    joints = {"place": place[None]}
    for (limb, (root, joint, lengths)), degrees in zip(skeleton.items(), angles, strict=True):
        turns = np.radians(np.pad(degrees, (0, len(lengths) - len(degrees)), mode="edge"))
        steps = np.multiply(lengths, (np.sin(turns), -np.cos(turns))).T
        joints[limb] = joints[root][joint] + np.concatenate([[(0, 0)], np.cumsum(steps, axis=0)])
    return joints


def _draw_shapes(brush, shapes, palette):
    for method, *arguments, name in shapes:
        getattr(brush, method)(*arguments, palette[name])
