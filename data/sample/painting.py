"""Paints a whole scene: a table of layers for each setting, then the figures."""

from random import Random

import numpy as np
from brush import BIG, SIZE, Brush, Colour, shade, wash
from figures import draw_figure
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scenes import Scene

# Heights, as parts of the picture's; swimmers are seen from nearer by, since water hides most of
# them.
UNITS = {"dog": 0.50, "cat": 0.40, "bird": 0.52, "child": 0.46, "woman": 0.63, "man": 0.65}
SWIMMING_UNITS = {"dog": 0.60, "bird": 0.55, "child": 0.70, "woman": 0.90, "man": 0.94}
PAIR_SIZE = 0.75  # how large each of two figures is

# Where figures stand and swimmers' water reaches, from the top, and how far they are above it.
GROUND, WATER_SURFACE = 0.90, 0.70
LIFTS = {("dog", "swimming"): -0.30, "jumping": 0.14, "flying": 0.38}

HAZE, HAZE_STRENGTH = (214, 222, 228), 0.5  # over the scenery, so that the figures stand out
HORIZON = 0.45  # its height from the top


def _sky(image: Image.Image, choices: Random) -> None:
    """Paints a blue sky with a few soft clouds, each of four puffs."""
    wash(image, 0, HORIZON + 0.02, [(70, 146, 224), (136, 192, 240), (212, 232, 248)])
    for _ in range(choices.randint(2, 5)):
        x, y = choices.random(), choices.uniform(0.75, 0.96)
        for step in (-0.08, -0.03, 0.02, 0.07):
            size = choices.uniform(0.5, 1.0)
            puff = x + step, y + 0.02 * size
            Brush(image).oval(puff, 0.05 * size + 0.02, 0.035 * size, (246, 250, 254))
    image.paste(image.crop((0, 0, BIG, BIG // 2)).filter(ImageFilter.BoxBlur(9)))


def _hills(image: Image.Image, choices: Random, height: float, colour: Colour) -> None:
    """Paints a rolling line of hills with their feet at the horizon."""
    for x in np.arange(0, 1.2, 0.2):
        place, rise = x + choices.uniform(-0.1, 0.1), height * choices.uniform(0.4, 1)
        Brush(image).oval((place, 1 - HORIZON - 0.02), 0.25, rise, colour)


def _land(image, choices, top, bottom, across, up, colours: list[Colour], edge=None) -> None:
    """Paints land or water, strewn with strokes of its shades, and an uneven edge of a colour."""
    wash(image, top, bottom, colours)
    pen = ImageDraw.Draw(image)
    for _ in range(round(700 * (bottom - top))):
        near = choices.random()
        x, y = choices.random() * BIG, (top + (bottom - top) * near) * BIG
        reach = (0.35 + 0.65 * near) * choices.uniform(0.6, 1.2)
        end = x + across * reach * choices.choice((-1, 1)), y - up * reach
        stroke = shade(choices.choice(colours), choices.uniform(0.85, 1.3))
        pen.line((x, y, *end), fill=stroke, width=1 + round(3 * near))
    if edge:
        line = [(number / 8, 1 - top + choices.uniform(-0.01, 0.01)) for number in range(-1, 10)]
        Brush(image).limb(line, 0.025, edge)


def _houses(image: Image.Image, choices: Random) -> None:
    """Paints a row of houses with roofs and windows."""
    brush = Brush(image)
    for x in np.arange(-0.1, 1, 0.24):
        walls = choices.choice([(186, 132, 112), (206, 178, 150), (168, 152, 148), (196, 158, 128)])
        top = 1 - choices.uniform(0.10, 0.14)
        brush.patch([(x, 0.38), (x, top), (x + 0.235, top), (x + 0.235, 0.38)], walls)
        brush.patch([(x - 0.01, top), (x + 0.12, top + 0.07), (x + 0.25, top)], shade(walls, 0.62))
        for left in (x + 0.04, x + 0.14):
            for y in (top - 0.05, top - 0.17, top - 0.29):
                pane = [(left, y), (left + 0.06, y), (left + 0.06, y - 0.07), (left, y - 0.07)]
                brush.patch(pane, (88, 104, 122))


def _trunks(image: Image.Image, choices: Random) -> None:
    """Paints the trees of a forest, the far ones first, and the leaves above them."""
    brush = Brush(image)
    wash(image, 0, HORIZON + 0.02, [(38, 84, 54), (76, 126, 76), (150, 182, 116)])
    for count, colour in ((7, (96, 112, 80)), (4, (70, 66, 50)), (2, (50, 38, 30))):
        for number in range(count):
            x = (number + 0.5) / count + choices.uniform(-0.04, 0.04)
            bend = x + choices.uniform(-0.02, 0.02)
            brush.limb([(x, 0.5), (bend, 0.8), (x, 1.05)], 0.2 / (count + 1), colour)
    for _ in range(26):
        leaves = shade((48, 104, 60), choices.uniform(0.6, 1.2))
        size = choices.uniform(0.04, 0.09)
        place = choices.random(), 1 - 5 * choices.uniform(0.0, 0.16) ** 2
        brush.oval(place, size, size * 0.6, leaves)


def _firs(image: Image.Image, choices: Random) -> None:
    """Paints a snowy fir tree near each edge."""
    for x in (0.07, 0.93):
        brush = Brush(image).moved(
            x + choices.uniform(-0.05, 0.05), 0.47, choices.uniform(0.36, 0.46)
        )
        brush.limb([(0, 0), (0, 0.2)], 0.08, (98, 70, 48))
        for width, y in ((0.28, 0.1), (0.22, 0.3), (0.16, 0.5), (0.1, 0.7)):
            brush.patch([(-width, y), (width, y), (0, y + 0.36)], (44, 92, 80))
            tip = [(-width / 2, y + 0.18), (0, y + 0.36), (width / 2, y + 0.18), (0, y + 0.23)]
            brush.patch(tip, (244, 248, 254))


GRASS = [(128, 196, 72), (104, 184, 58), (80, 156, 44)]
SNOW = [(234, 241, 250), (246, 249, 254), (218, 228, 244)]
SAND = [(246, 222, 166), (240, 210, 148), (228, 192, 126)]
SEA = [(32, 128, 172), (40, 172, 190), (96, 206, 204)]
LAKE = [(40, 78, 104), (36, 92, 138), (58, 112, 160)]
BANK = [(150, 136, 106), (134, 120, 84), (112, 108, 66)]
ROAD = [(104, 104, 110), (122, 122, 128), (110, 110, 116)]
LEAVES = [(122, 116, 66), (142, 108, 68), (122, 90, 58)]
FOAM, MUD, CURB = (252, 252, 250), (136, 126, 88), (186, 182, 178)
# Each painter with its arguments, the farthest first. Swimmers have more of the water.
PEAKS = [(_sky,), (_hills, 0.26, (112, 132, 160)), (_hills, 0.11, (52, 98, 84))]
LAYERS = {
    "meadow": [(_sky,), (_hills, 0.11, (118, 172, 118)), (_land, 0.46, 1, 8, 26, GRASS)],
    "beach": [(_sky,), (_land, 0.45, 0.6, 34, 0, SEA), (_land, 0.58, 1, 16, 2, SAND, FOAM)],
    "beach swimming": [(_sky,), (_land, 0.45, 1, 34, 0, SEA), (_land, 0.93, 1, 9, 2, SAND, FOAM)],
    "snow": [(_sky,), (_hills, 0.2, (196, 210, 230)), (_land, 0.46, 1, 40, 3, SNOW), (_firs,)],
    "street": [(_sky,), (_houses,), (_land, 0.62, 1, 6, 2, ROAD, CURB)],
    "lake": [*PEAKS, (_land, 0.45, 0.8, 34, 0, LAKE), (_land, 0.76, 1, 5, 16, BANK, MUD)],
    "lake swimming": [*PEAKS, (_land, 0.45, 1, 34, 0, LAKE), (_land, 0.94, 1, 5, 9, BANK, MUD)],
    "forest": [(_trunks,), (_land, 0.47, 1, 12, 5, LEAVES)],
}


def paint_scene(scene: Scene) -> Image.Image:
    """Paints a scene, SIZE pixels square."""
    choices = scene.choices("the picture")
    image = Image.new("RGB", (BIG, BIG))
    for paint, *arguments in LAYERS.get(f"{scene.setting} {scene.action}", LAYERS[scene.setting]):
        paint(image, choices, *arguments)
    image = Image.blend(image, Image.new("RGB", image.size, HAZE), HAZE_STRENGTH)
    size = choices.uniform(0.97, 1.03)
    middle = 0.5 + choices.uniform(-0.025, 0.025)
    size *= PAIR_SIZE if scene.count == 2 else 1
    for side, farther in ((-0.22, 0.03), (0.22, 0)) if scene.count == 2 else ((0, 0),):
        _paint_figure(image, scene, middle + side, farther, size, choices)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _paint_figure(image, scene, place, farther, size, choices):
    layer = Image.new("RGBA", image.size)
    swimming = scene.action == "swimming"
    unit = size * (SWIMMING_UNITS if swimming else UNITS)[scene.subject]
    foot = (WATER_SURFACE if swimming else GROUND) - farther
    lift = LIFTS.get(scene.action, LIFTS.get((scene.subject, scene.action), 0.0))
    brush = Brush(layer, (place * BIG, (foot - lift) * BIG), unit * BIG / 100)
    draw_figure(brush, scene.subject, scene.action, scene.colour, choices)
    if swimming:
        below = (0, round(foot * BIG), BIG, BIG)
        layer.paste(Image.blend(Image.new("RGBA", layer.size), layer, 0.14).crop(below), below)
    else:
        shadow = Image.new("L", image.size)
        Brush(shadow).oval((place, 0.995 - foot), 0.34 * unit, 0.022, 107)
        image.paste((24, 28, 40), mask=shadow.filter(ImageFilter.BoxBlur(8)))
    _lay(image, layer)
    for spread in (0.42, 0.56, 0.70) if swimming else ():
        across, up = spread * unit * BIG, spread * unit * BIG * 0.13
        x, y = place * BIG, (foot + 0.085 * spread - 0.024) * BIG
        box = (x - across, y - up, x + across, y + up)
        ImageDraw.Draw(image).arc(box, 0, 180, (226, 240, 246), 5)


def _lay(image: Image.Image, layer: Image.Image) -> None:
    """Lays a figure on the picture, darker at its lower right, as if lit from the upper left."""
    alpha = layer.getchannel("A")
    small = alpha.resize((SIZE, SIZE))
    lit = ImageChops.offset(small, -3, -4).filter(ImageFilter.GaussianBlur(2.5))
    shadow = ImageChops.subtract(small, lit, scale=2)
    image.paste(layer, mask=alpha)
    image.paste((20, 20, 44), mask=ImageChops.darker(shadow.resize(alpha.size), alpha))
