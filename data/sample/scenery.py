"""Paints the settings: skies, grounds, and what stands about in them."""

import random

from brush import BIG, Brush, mix, shade, soft_ovals, wash
from clutter import paint_clutter
from PIL import Image, ImageDraw

# Skies from top to horizon.
SKIES = {
    ("day", "clear"): [(70, 146, 224), (136, 192, 240), (212, 232, 248)],
    ("day", "cloudy"): [(108, 158, 210), (158, 194, 226), (212, 226, 238)],
    ("dusk", "clear"): [(104, 136, 206), (206, 172, 196), (255, 212, 160)],
    ("dusk", "cloudy"): [(120, 136, 176), (184, 166, 186), (240, 200, 170)],
}
# What each light leaves of red, green and blue.
LIGHTS = {"day": (1.0, 1.0, 1.0), "dusk": (0.98, 0.92, 0.90)}

TRUNKS = (7, 4, 2)  # of a forest, far to near
WATER_SURFACE = 0.70  # height of a swimmer's waterline, from the top as a part of the picture's


def paint_scenery(scene):
    """Paints everything behind the figures.

    Args:
        scene: scenes.Scene.

    Returns:
        PIL.Image.Image, RGB, BIG pixels square.
    """
    choices = random.Random(f"{scene.seed} scenery")
    image = Image.new("RGB", (BIG, BIG))
    wash(image, 0, scene.horizon + 0.02, SKIES[scene.light, scene.weather])
    _paint_clouds(image, scene, choices)
    SETTING_PAINTERS[scene.setting](image, scene, choices)
    if scene.clutter != "none":
        paint_clutter(image, scene, choices)
    return image


def _paint_clouds(image, scene, choices):
    if scene.light == "dusk" and scene.weather == "clear":
        x = choices.uniform(0.15, 0.85)
        sun = [(x, scene.horizon - 0.06, 0.07, 0.07)]
        soft_ovals(image, [(x, scene.horizon - 0.06, 0.2, 0.2)], (255, 214, 150), 0.5, 18)
        soft_ovals(image, sun, (255, 240, 196), 1.0, 1.2)
    tone = (255, 255, 255) if scene.light == "day" else (250, 206, 184)
    count, strength = (2, 0.75) if scene.weather == "clear" else (6, 0.6)
    puffs = []
    for _ in range(count):
        x, y = choices.uniform(0.0, 1.0), choices.uniform(0.04, scene.horizon * 0.6)
        for step in (-1.5, -0.6, 0.3, 1.3):
            size = choices.uniform(0.5, 1.0)
            puffs.append((x + step * 0.05, y - size * 0.018, 0.055 * size + 0.02, 0.035 * size))
    soft_ovals(image, puffs, tone, strength, 3.5)


def _hills(image, base, height, colour, choices):
    """Paints a rolling line of hills whose feet stand at `base`, parts of the height."""
    count = 6
    line = [
        (
            number / count,
            base - height * (0.35 + 0.55 * (number * 7 % 5) / 4 + choices.uniform(-0.08, 0.08)),
        )
        for number in range(-1, count + 2)
    ]
    outline = [(-0.3, base + 0.02), *line, (1.3, base + 0.02)]
    upright = Brush(image, (0, BIG), BIG)
    upright.blob([(x, 1 - y) for x, y in outline], colour)
    ImageDraw.Draw(image).rectangle((0, base * BIG, BIG, (base + 0.05) * BIG), fill=colour)


def _strokes(image, top, colours, count, choices, slant):
    """Strews short strokes over the ground, longer ones nearer by.

    Args:
        image: PIL.Image.Image, RGB, BIG pixels square.
        top: float, where the ground begins.
        colours: list of tuple of int to choose from.
        count: int, strokes.
        choices: random.Random.
        slant: tuple of float, pixels across and up of the nearest strokes.
    """
    pen = ImageDraw.Draw(image)
    for _ in range(count):
        near = choices.random()
        x, y = choices.random() * BIG, (top + (1 - top) * near) * BIG
        reach = 0.35 + 0.65 * near
        across = slant[0] * reach * choices.uniform(-1, 1)
        up = slant[1] * reach * choices.uniform(0.6, 1.2)
        line = (x, y, x + across, y - up)
        pen.line(line, fill=choices.choice(colours), width=1 + round(3 * near))


def _meadow(image, scene, choices):
    _hills(image, scene.horizon, 0.11, (118, 172, 118), choices)
    _hills(image, scene.horizon + 0.01, 0.05, (104, 176, 84), choices)
    wash(image, scene.horizon + 0.01, 1, [(128, 196, 72), (104, 184, 58), (80, 156, 44)])
    greens = [(148, 212, 84), (92, 170, 52), (70, 146, 42)]
    _strokes(image, scene.horizon + 0.03, greens, 420, choices, (8, 26))


def _beach(image, scene, choices):
    sea = scene.horizon
    if scene.action == "swimming":
        _water(image, sea, 0.93, [(32, 128, 172), (40, 172, 190), (96, 206, 204)], choices)
        shore = 0.93
    else:
        shore = scene.horizon + 0.13
        _water(image, sea, shore, [(32, 128, 172), (64, 182, 196)], choices)
    wash(image, shore, 1, [(246, 222, 166), (240, 210, 148), (228, 192, 126)])
    foam = [(number / 8, 1 - shore + choices.uniform(-0.008, 0.012)) for number in range(-1, 10)]
    Brush(image, (0, BIG), BIG).limb(foam, [0.022] * len(foam), (252, 252, 250))
    if scene.action != "swimming":
        sands = [(252, 232, 184), (222, 188, 126), (236, 204, 144)]
        _strokes(image, shore + 0.04, sands, 320, choices, (16, 2))


def _snow(image, scene, choices):
    _hills(image, scene.horizon, 0.2, (196, 210, 230), choices)
    _hills(image, scene.horizon + 0.01, 0.07, (222, 232, 244), choices)
    wash(image, scene.horizon + 0.01, 1, [(234, 241, 250), (246, 249, 254), (218, 228, 244)])
    whites = [(255, 255, 255), (208, 220, 240), (226, 234, 248)]
    _strokes(image, scene.horizon + 0.05, whites, 160, choices, (40, 3))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, radius = choices.random() * BIG, choices.random() * BIG * 0.6, choices.uniform(2, 4)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255))


def _street(image, scene, choices):
    pen = ImageDraw.Draw(image)
    pavement = scene.horizon + 0.10
    x = -choices.uniform(0.08, 0.12)
    while x < 1:
        width, top = 0.24, choices.uniform(0.10, 0.14)
        walls = [(186, 132, 112), (206, 178, 150), (168, 152, 148), (196, 158, 128)]
        wall = choices.choice(walls)
        pen.rectangle((x * BIG, top * BIG, (x + width) * BIG, pavement * BIG), fill=wall)
        roof = [(x - 0.01, top), (x + width / 2, top - 0.07), (x + width + 0.01, top)]
        pen.polygon([(a * BIG, b * BIG) for a, b in roof], fill=shade(wall, 0.62))
        for row in range(3):
            for column in range(2):
                left = x + width * (0.16 + 0.42 * column)
                upper = top + 0.05 + 0.12 * row
                box = [v * BIG for v in (left, upper, left + width * 0.26, upper + 0.07)]
                lit = scene.light == "dusk" and choices.random() < 0.6
                pen.rectangle(box, fill=(250, 222, 150) if lit else (88, 104, 122))
        pen.rectangle(
            ((x + width) * BIG - 3, top * BIG, (x + width) * BIG, pavement * BIG), shade(wall, 0.7)
        )
        x += width
    wash(image, pavement, pavement + 0.07, [(186, 182, 178), (170, 166, 162)])
    wash(image, pavement + 0.07, 1, [(104, 104, 110), (122, 122, 128), (110, 110, 116)])
    greys = [(132, 132, 138), (92, 92, 98), (116, 116, 120)]
    _strokes(image, pavement + 0.09, greys, 300, choices, (6, 2))
    for number in range(-1, 5):
        left = number * 0.3 + choices.uniform(0, 0.02)
        dash = [(left, 0.955), (left + 0.15, 0.955), (left + 0.14, 0.985), (left - 0.02, 0.985)]
        pen.polygon([(a * BIG, b * BIG) for a, b in dash], fill=(232, 230, 222))


def _lake(image, scene, choices):
    _hills(image, scene.horizon, 0.26, (112, 132, 160), choices)
    _hills(image, scene.horizon, 0.11, (52, 98, 84), choices)
    shore = 0.94 if scene.action == "swimming" else 0.76
    _water(image, scene.horizon, shore, [(40, 78, 104), (36, 92, 138), (58, 112, 160)], choices)
    wash(image, shore, 1, [(150, 136, 106), (134, 120, 84), (112, 108, 66)])
    bank = [(number / 8, 1 - shore + choices.uniform(-0.012, 0.014)) for number in range(-1, 10)]
    Brush(image, (0, BIG), BIG).limb(bank, [0.03] * len(bank), (136, 126, 88))
    if shore < 0.9:
        _strokes(
            image,
            shore + 0.03,
            [(120, 130, 70), (158, 146, 112), (104, 98, 70)],
            260,
            choices,
            (5, 16),
        )


def _water(image, top, bottom, colours, choices):
    wash(image, top, bottom, colours)
    pen = ImageDraw.Draw(image)
    for _ in range(round(200 * (bottom - top)) + 10):
        near = choices.random()
        x, y = choices.random() * BIG, (top + (bottom - top) * near) * BIG
        reach = (10 + 34 * near) * choices.uniform(0.5, 1.2)
        tone = mix(colours[-1], (255, 255, 255), choices.uniform(0.1, 0.4))
        pen.line((x - reach, y, x + reach, y), fill=tone, width=1 + round(2 * near))


def _forest(image, scene, choices):
    wash(image, 0, scene.horizon + 0.02, [(38, 84, 54), (76, 126, 76), (150, 182, 116)])
    brush = Brush(image, (0, BIG), BIG)
    for depth, tone in ((0, (96, 112, 80)), (1, (70, 66, 50)), (2, (50, 38, 30))):
        for number in range(TRUNKS[depth]):
            x = (number + 0.5) / TRUNKS[depth] + choices.uniform(-0.04, 0.04)
            width = (0.03, 0.045, 0.075)[depth] * choices.uniform(0.8, 1.2)
            foot = 1 - scene.horizon - 0.02 - 0.05 * depth
            bend = x + choices.uniform(-0.02, 0.02)
            points = [(x, foot), (bend, foot + 0.3), (x, 1.05)]
            brush.limb(points, [width * 1.3, width, width * 0.85], tone)
    for _ in range(26):
        x, y, size = choices.uniform(0, 1), choices.uniform(0.0, 0.16), choices.uniform(0.04, 0.09)
        tone = choices.choice([(28, 78, 46), (44, 100, 56), (24, 62, 40), (66, 122, 62)])
        brush.oval((x, 1 - y * y * 5), size, tone, size * 0.6)
    wash(image, scene.horizon + 0.02, 1, [(122, 116, 66), (142, 108, 68), (122, 90, 58)])
    leaves = [(170, 122, 66), (112, 84, 54), (186, 142, 76), (104, 108, 60)]
    _strokes(image, scene.horizon + 0.05, leaves, 360, choices, (12, 5))


SETTING_PAINTERS = {
    "meadow": _meadow,
    "beach": _beach,
    "snow": _snow,
    "street": _street,
    "lake": _lake,
    "forest": _forest,
}
