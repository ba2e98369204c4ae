"""Paints what stands about in a scene: trees, rocks, flowers, a cabin, a lamp post."""

from brush import BIG, Brush, shade

TRUNK = (98, 70, 48)
ROCK = (128, 124, 122)
BOTH_SIDES = ("trees", "palms", "reeds", "ferns")  # clutter at either edge


def _trees(image, horizon, x, choices):
    size = choices.uniform(0.34, 0.44)
    brush = Brush(image, (x * BIG, (horizon + 0.07) * BIG), size * BIG)
    brush.oval((0, 0), 0.22, shade(TRUNK, 0.9), 0.03)
    brush.limb([(0, 0), (0.02, 0.5)], [0.12, 0.08], TRUNK)
    leaf = choices.choice([(54, 122, 58), (66, 132, 50), (48, 108, 66)])
    for light, drop in ((0.75, 0.0), (1.0, 0.05), (1.15, 0.12)):
        for _ in range(5):
            centre = (choices.uniform(-0.2, 0.2), choices.uniform(0.5, 0.82) + drop)
            brush.oval(centre, 0.2 - drop, shade(leaf, light), 0.17 - drop)


def _fir_trees(image, horizon, x, choices):
    brush = Brush(image, (x * BIG, (horizon + 0.08) * BIG), choices.uniform(0.36, 0.46) * BIG)
    brush.limb([(0, 0), (0, 0.2)], [0.08, 0.08], TRUNK)
    for row in range(4):
        width, y = 0.28 - 0.06 * row, 0.1 + 0.2 * row
        brush.patch([(-width, y), (width, y), (0, y + 0.36)], shade((44, 92, 80), 1 + 0.06 * row))
        snow = [(-width * 0.5, y + 0.18), (0, y + 0.36), (width * 0.5, y + 0.18), (0, y + 0.23)]
        brush.patch(snow, (244, 248, 254))


def _palms(image, horizon, x, choices):
    brush = Brush(image, (x * BIG, (horizon + 0.2) * BIG), choices.uniform(0.5, 0.6) * BIG)
    lean = 0.12 if x < 0.5 else -0.12
    top = (lean, 0.78)
    brush.limb([(0, 0), (lean * 0.3, 0.4), top], [0.08, 0.05, 0.045], (150, 116, 78))
    for across, rise in ((-0.3, -0.06), (-0.2, 0.14), (0.02, 0.2), (0.22, 0.12), (0.32, -0.08)):
        middle = (top[0] + across * 0.6, top[1] + rise + 0.1)
        tip = (top[0] + across * 1.1, top[1] + rise - 0.06)
        brush.limb([top, middle, tip], [0.03, 0.07, 0.01], (58, 136, 66))


def _rocks(image, _horizon, x, choices):
    for number in range(3):
        size = choices.uniform(0.06, 0.1)
        place = (x + 0.07 * (number - 1), choices.uniform(0.78, 0.84))
        brush = Brush(image, (place[0] * BIG, place[1] * BIG), size * BIG)
        outline = [(-0.9, 0), (-0.7, 0.6), (-0.1, 0.95), (0.6, 0.7), (0.95, 0.05), (0, -0.15)]
        brush.blob(outline, ROCK)
        brush.blob([(-0.6, 0.5), (-0.1, 0.85), (0.4, 0.66), (-0.1, 0.5)], shade(ROCK, 1.25))


def _reeds(image, _horizon, x, choices):
    brush = Brush(image, (x * BIG, 0.82 * BIG), 0.26 * BIG)
    for _ in range(12):
        foot, lean = choices.uniform(-0.3, 0.3), choices.uniform(-0.15, 0.15)
        top = (foot + lean, choices.uniform(0.6, 1.0))
        brush.limb([(foot, 0), top], [0.03, 0.012], (94, 124, 62))
        if choices.random() < 0.5:
            brush.limb([(top[0], top[1] - 0.12), top], [0.06, 0.06], (104, 72, 44))


def _flowers(image, _horizon, x, choices):
    # Few, and pale, so that they never pass for the colour of someone's clothes.
    for _ in range(9):
        place = (x + choices.uniform(-0.14, 0.14), choices.uniform(0.72, 0.97))
        brush = Brush(image, (place[0] * BIG, place[1] * BIG), 0.05 * BIG)
        brush.limb([(0, -0.5), (0, 0)], [0.12, 0.1], (58, 128, 44))
        petal = choices.choice([(244, 214, 240), (250, 244, 226), (206, 178, 232)])
        for across, up in ((-0.2, 0), (0.2, 0), (0, 0.2), (0, -0.2)):
            brush.oval((across, up), 0.2, petal)
        brush.oval((0, 0), 0.14, (236, 182, 76))


def _cabin(image, horizon, x, _choices):
    brush = Brush(image, (x * BIG, (horizon + 0.08) * BIG), 0.24 * BIG)
    brush.patch([(-0.5, 0), (-0.5, 0.55), (0.5, 0.55), (0.5, 0)], (136, 96, 70))
    for row in range(4):
        brush.limb([(-0.5, 0.12 * row + 0.06), (0.5, 0.12 * row + 0.06)], [0.02] * 2, (110, 76, 56))
    brush.patch([(-0.66, 0.5), (0, 1.0), (0.66, 0.5)], (250, 252, 255))
    brush.patch([(-0.44, 0.52), (0, 0.86), (0.44, 0.52)], (120, 84, 62))
    brush.patch([(-0.12, 0), (-0.12, 0.34), (0.12, 0.34), (0.12, 0)], (78, 56, 46))


def _lamp(image, horizon, x, _choices):
    brush = Brush(image, (x * BIG, (horizon + 0.18) * BIG), 0.56 * BIG)
    brush.limb([(0, 0), (0, 0.9)], [0.05, 0.03], (62, 66, 72))
    brush.patch([(-0.07, 0.9), (0.07, 0.9), (0.05, 1.04), (-0.05, 1.04)], (250, 232, 176))
    brush.patch([(-0.08, 1.04), (0.08, 1.04), (0, 1.1)], (62, 66, 72))


def _ferns(image, _horizon, x, choices):
    for number in range(3):
        place = (x + 0.07 * (number - 1), choices.uniform(0.8, 0.95))
        brush = Brush(image, (place[0] * BIG, place[1] * BIG), 0.15 * BIG)
        for across in (-0.7, -0.45, -0.15, 0.2, 0.5, 0.7):
            tip = (across, 0.75 - abs(across) * 0.6)
            middle = (across * 0.5, tip[1] * 0.8 + 0.1)
            brush.limb([(0, 0), middle, tip], [0.04, 0.13, 0.02], (66, 124, 58))


def _mushrooms(image, _horizon, x, choices):
    for number in range(3):
        place = (x + 0.07 * (number - 1), choices.uniform(0.84, 0.95))
        brush = Brush(image, (place[0] * BIG, place[1] * BIG), choices.uniform(0.06, 0.09) * BIG)
        brush.limb([(0, 0), (0, 0.6)], [0.3, 0.22], (232, 220, 196))
        brush.blob(
            [(-0.55, 0.5), (-0.3, 0.95), (0.3, 0.95), (0.55, 0.5), (0, 0.42)], (196, 150, 104)
        )


CLUTTER_PAINTERS = {
    "trees": _trees,
    "palms": _palms,
    "rocks": _rocks,
    "reeds": _reeds,
    "flowers": _flowers,
    "cabin": _cabin,
    "lamp": _lamp,
    "ferns": _ferns,
    "mushrooms": _mushrooms,
}


def paint_clutter(image, scene, choices):
    """Paints a scene's clutter at the edges, where it frames the figures and hides none of them.

    Args:
        image: PIL.Image.Image, RGB, BIG pixels square.
        scene: scenes.Scene.
        choices: random.Random.
    """
    sides = [-1, 1]
    if scene.clutter not in BOTH_SIDES:
        sides = [choices.choice(sides)]
    paint = CLUTTER_PAINTERS[scene.clutter]
    if scene.setting == "snow" and scene.clutter == "trees":
        paint = _fir_trees
    for side in sides:
        paint(image, scene.horizon, 0.5 + side * choices.uniform(0.38, 0.46), choices)
