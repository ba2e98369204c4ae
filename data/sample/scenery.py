"""Paints the settings: for each a table of layers, from the sky to what lies in front."""

from random import Random

import numpy as np
from brush import BIG, Brush, Colour, shade, soft_ovals, wash
from PIL import Image, ImageDraw

HORIZON = 0.45  # its height from the top, as a part of the picture's
WATER_SURFACE = 0.70  # the same of a swimmer's waterline

Picture = Image.Image


def _clouds(image: Picture, choices: Random) -> None:
    puffs = []
    for _ in range(choices.randint(2, 5)):
        x, y = choices.uniform(0.0, 1.0), choices.uniform(0.04, HORIZON * 0.6)
        for step in (-1.5, -0.6, 0.3, 1.3):
            size = choices.uniform(0.5, 1.0)
            puffs.append((x + step * 0.05, y - size * 0.018, 0.055 * size + 0.02, 0.035 * size))
    soft_ovals(image, puffs, (255, 255, 255), 0.75, 3.5)


def _hills(image: Picture, choices: Random, height: float, colour: Colour) -> None:
    """Paints a rolling line of hills with their feet at the horizon."""
    base = 1 - HORIZON - 0.01
    rises = [0.35 + 0.14 * (number * 7 % 5) + choices.uniform(-0.08, 0.08) for number in range(9)]
    line = [(number / 6 - 1 / 6, base + height * rise) for number, rise in enumerate(rises)]
    Brush(image).blob([(-0.3, base - 0.05), *line, (1.3, base - 0.05)], colour)


def _strokes(image: Picture, choices: Random, top, colours, count, across, up) -> None:
    """Strews short strokes over the ground below `top`, longer ones nearer by."""
    pen = ImageDraw.Draw(image)
    for _ in range(count):
        near = choices.random()
        x, y = choices.random() * BIG, (top + (1 - top) * near) * BIG
        reach = 0.35 + 0.65 * near
        end = (
            x + across * reach * choices.uniform(-1, 1),
            y - up * reach * choices.uniform(0.6, 1.2),
        )
        pen.line((x, y, *end), fill=choices.choice(colours), width=1 + round(3 * near))


def _water(image: Picture, choices: Random, bottom: float, colours: list[Colour], edge: Colour):
    """Paints water from the horizon to a shore whose edge is foam or mud."""
    wash(image, HORIZON, bottom, colours)
    pen = ImageDraw.Draw(image)
    for _ in range(round(200 * (bottom - HORIZON)) + 10):
        near = choices.random()
        x, y = choices.random() * BIG, (HORIZON + (bottom - HORIZON) * near) * BIG
        reach = (10 + 34 * near) * choices.uniform(0.5, 1.2)
        glint = shade(colours[-1], 1 + choices.uniform(0.1, 0.4))
        pen.line((x - reach, y, x + reach, y), fill=glint, width=1 + round(2 * near))
    shore = [(number / 8, 1 - bottom + choices.uniform(-0.01, 0.012)) for number in range(-1, 10)]
    Brush(image).limb(shore, 0.025, edge)


def _houses(image: Picture, choices: Random) -> None:
    """Paints a row of houses with roofs and windows."""
    brush = Brush(image)
    foot = 1 - HORIZON - 0.10
    for x in np.arange(-0.1, 1, 0.24):
        walls = choices.choice([(186, 132, 112), (206, 178, 150), (168, 152, 148), (196, 158, 128)])
        top = 1 - choices.uniform(0.10, 0.14)
        brush.patch([(x, foot), (x, top), (x + 0.235, top), (x + 0.235, foot)], walls)
        brush.patch([(x - 0.01, top), (x + 0.12, top + 0.07), (x + 0.25, top)], shade(walls, 0.62))
        for row in range(3):
            for left in (x + 0.04, x + 0.14):
                y = top - 0.05 - 0.12 * row
                pane = [(left, y), (left + 0.06, y), (left + 0.06, y - 0.07), (left, y - 0.07)]
                brush.patch(pane, (88, 104, 122))


def _markings(image: Picture, choices: Random) -> None:
    """Paints the dashes of a road."""
    brush, start = Brush(image), choices.uniform(-0.3, 0)
    for x in start + 0.3 * np.arange(5):
        brush.patch(
            [(x, 0.045), (x + 0.15, 0.045), (x + 0.14, 0.015), (x - 0.02, 0.015)], (232, 230, 222)
        )


def _trunks(image: Picture, choices: Random) -> None:
    """Paints trees, the far ones first, and the leaves above them."""
    brush = Brush(image)
    rows = ((7, 0.030, (96, 112, 80)), (4, 0.045, (70, 66, 50)), (2, 0.075, (50, 38, 30)))
    for depth, (count, width, colour) in enumerate(rows):
        for number in range(count):
            x = (number + 0.5) / count + choices.uniform(-0.04, 0.04)
            foot = 1 - HORIZON - 0.02 - 0.05 * depth
            points = [(x, foot), (x + choices.uniform(-0.02, 0.02), foot + 0.3), (x, 1.05)]
            brush.limb(points, [width * 1.3, width, width * 0.85], colour)
    for _ in range(26):
        leaves = choices.choice([(28, 78, 46), (44, 100, 56), (24, 62, 40), (66, 122, 62)])
        size = choices.uniform(0.04, 0.09)
        place = (choices.uniform(0, 1), 1 - 5 * choices.uniform(0.0, 0.16) ** 2)
        brush.oval(place, size, size * 0.6, leaves)


def _firs(image: Picture, choices: Random) -> None:
    """Paints a snowy fir tree near each edge, and falling snow."""
    for x in (choices.uniform(0.02, 0.12), choices.uniform(0.88, 0.98)):
        brush = Brush(image).moved(x, 1 - HORIZON - 0.08, choices.uniform(0.36, 0.46))
        brush.limb([(0, 0), (0, 0.2)], 0.08, (98, 70, 48))
        for row in range(4):
            width, y = 0.28 - 0.06 * row, 0.1 + 0.2 * row
            brush.patch([(-width, y), (width, y), (0, y + 0.36)], (44, 92, 80))
            tip = [(-width / 2, y + 0.18), (0, y + 0.36), (width / 2, y + 0.18), (0, y + 0.23)]
            brush.patch(tip, (244, 248, 254))
    for _ in range(60):
        size = choices.uniform(0.003, 0.006)
        place = (choices.random(), choices.uniform(0.4, 1))
        Brush(image).oval(place, size, size, (255, 255, 255))


def _wash(image: Picture, choices: Random, top: float, bottom: float, colours: list[Colour]):
    wash(image, top, bottom, colours)


SKY = [
    (_wash, 0, 0.47, [(70, 146, 224), (136, 192, 240), (212, 232, 248)]),
    (_clouds,),
]
SEA = [(32, 128, 172), (40, 172, 190), (96, 206, 204)]
SAND = [(246, 222, 166), (240, 210, 148), (228, 192, 126)]
FOAM = (252, 252, 250)
MOUNTAINS = [(_hills, 0.26, (112, 132, 160)), (_hills, 0.11, (52, 98, 84))]
LAKE = [(40, 78, 104), (36, 92, 138), (58, 112, 160)]
BANK = [(150, 136, 106), (134, 120, 84), (112, 108, 66)]
MUD = (136, 126, 88)
# Each painter with its arguments, the farthest first; swimmers are seen with more of the water.
LAYERS = {
    "meadow": [
        *SKY,
        (_hills, 0.11, (118, 172, 118)),
        (_hills, 0.05, (104, 176, 84)),
        (_wash, 0.46, 1, [(128, 196, 72), (104, 184, 58), (80, 156, 44)]),
        (_strokes, 0.48, [(148, 212, 84), (92, 170, 52), (70, 146, 42)], 420, 8, 26),
    ],
    "beach": [
        *SKY,
        (_wash, 0.57, 1, SAND),
        (_strokes, 0.62, [(252, 232, 184), (222, 188, 126), (236, 204, 144)], 320, 16, 2),
        (_water, 0.58, [(32, 128, 172), (64, 182, 196)], FOAM),
    ],
    "beach swimming": [*SKY, (_wash, 0.92, 1, SAND), (_water, 0.93, SEA, FOAM)],
    "snow": [
        *SKY,
        (_hills, 0.20, (196, 210, 230)),
        (_hills, 0.07, (222, 232, 244)),
        (_wash, 0.46, 1, [(234, 241, 250), (246, 249, 254), (218, 228, 244)]),
        (_strokes, 0.50, [(255, 255, 255), (208, 220, 240), (226, 234, 248)], 160, 40, 3),
        (_firs,),
    ],
    "street": [
        *SKY,
        (_houses,),
        (_wash, 0.55, 0.62, [(186, 182, 178), (170, 166, 162)]),
        (_wash, 0.62, 1, [(104, 104, 110), (122, 122, 128), (110, 110, 116)]),
        (_strokes, 0.64, [(132, 132, 138), (92, 92, 98), (116, 116, 120)], 300, 6, 2),
        (_markings,),
    ],
    "lake": [
        *SKY,
        *MOUNTAINS,
        (_wash, 0.75, 1, BANK),
        (_strokes, 0.79, [(120, 130, 70), (158, 146, 112), (104, 98, 70)], 260, 5, 16),
        (_water, 0.76, LAKE, MUD),
    ],
    "lake swimming": [*SKY, *MOUNTAINS, (_wash, 0.93, 1, BANK), (_water, 0.94, LAKE, MUD)],
    "forest": [
        (_wash, 0, 0.47, [(38, 84, 54), (76, 126, 76), (150, 182, 116)]),
        (_trunks,),
        (_wash, 0.47, 1, [(122, 116, 66), (142, 108, 68), (122, 90, 58)]),
        (
            _strokes,
            0.5,
            [(170, 122, 66), (112, 84, 54), (186, 142, 76), (104, 108, 60)],
            360,
            12,
            5,
        ),
    ],
}


def paint_scenery(setting: str, action: str, choices: Random) -> Picture:
    """Paints everything behind the figures, BIG pixels square."""
    image = Image.new("RGB", (BIG, BIG))
    for paint, *arguments in LAYERS.get(f"{setting} {action}", LAYERS[setting]):
        paint(image, choices, *arguments)
    return image
