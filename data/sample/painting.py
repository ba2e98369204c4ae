"""Paints a whole scene: scenery, things, shadows, figures, light."""

import random

from animals import draw_bird, draw_cat, draw_dog
from brush import BIG, SCALE, SIZE, Brush, shade, soft_ovals
from people import Person
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scenery import LIGHTS, WATER_SURFACE, paint_scenery
from scenes import PEOPLE

# Red, green and blue of each colour of fur, feathers and clothes.
COLOUR_VALUES = {
    "black": (30, 28, 34),
    "brown": (134, 82, 44),
    "white": (248, 246, 240),
    "orange": (236, 142, 54),
    "red": (214, 34, 42),
    "pink": (244, 110, 176),
    "blue": (34, 72, 204),
    "yellow": (250, 214, 40),
    "green": (28, 150, 70),
}
# Height of a unit of each figure, as a part of the picture's height.
UNITS = {"dog": 0.50, "cat": 0.46, "bird": 0.52, "child": 0.58, "woman": 0.63, "man": 0.65}
# A swimmer is seen from nearer by, since the water hides the most of it.
SWIMMING_UNITS = {"dog": 0.60, "bird": 0.46, "child": 0.88, "woman": 0.90, "man": 0.94}
# How much of a unit of each lies below the water.
SWIMMING_DEPTH = {"dog": 0.50, "bird": 0.0, "child": 0.0, "woman": 0.0, "man": 0.0}

# A haze over the scenery sets the figures off.
HAZE = (214, 222, 228)  # its colour
HAZE_STRENGTH = 0.5  # 0 for none to 1 for nothing else

# Two figures.
PAIR_SIZE = 0.86  # how large each of two figures is
WIDE_PAIR_SIZE = 0.75  # the same, in actions that stretch them
WIDE_ACTIONS = ("running", "jumping", "swimming", "flying")
PAIR_GAP = 0.22  # how far each stands from the middle
PAIR_DEPTH = 0.03  # how much farther away than the other one of them is

# Heights, as parts of the picture's.
GROUND = 0.90  # where figures stand, from the top
BALL = 0.06  # radius of a ball
JUMP = 0.14  # how far above the ground they jump
FLIGHT = 0.42  # how far above the ground they fly


def paint_scene(scene):
    """Paints a scene.

    Args:
        scene: scenes.Scene.

    Returns:
        PIL.Image.Image, RGB, SIZE pixels square.
    """
    image = paint_scenery(scene)
    image = Image.blend(image, Image.new("RGB", image.size, HAZE), HAZE_STRENGTH)
    choices = random.Random(f"{scene.seed} figures")
    if scene.thing == "boat":
        _draw_boat(image, scene)
    middle = 0.5 + scene.shift * (1.0 if scene.count == 1 else 0.5)
    places = [(middle, 0.0)]
    if scene.count == 2:
        near = choices.choice((-1, 1))
        places = [(middle - near * PAIR_GAP, PAIR_DEPTH), (middle + near * PAIR_GAP, 0.0)]
    front = max(place for place, _ in places)
    for place, depth in places:
        # Two share one ball; it lies before the foremost.
        ball = scene.thing == "ball" and place == front
        _paint_figure(image, scene, (place, depth), ball, choices)
    image = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    table = [round(level * part) for part in LIGHTS[scene.light] for level in range(256)]
    return image.point(table)


def _paint_figure(image, scene, place, ball, choices):
    place, farther = place
    swimming = scene.action == "swimming"
    unit = (SWIMMING_UNITS if swimming else UNITS)[scene.subject] * scene.size
    if scene.count == 2:
        unit *= WIDE_PAIR_SIZE if scene.action in WIDE_ACTIONS else PAIR_SIZE
    foot = (WATER_SURFACE if swimming else GROUND) - farther
    lift = {"jumping": JUMP, "flying": FLIGHT}.get(scene.action, 0.0)
    if not swimming:
        wide = 0.36 * unit * (1.0 if not lift else 0.8)
        soft_ovals(image, [(place, foot + 0.005, wide, 0.022)], (24, 28, 40), 0.42, 2.5)
    layer = Image.new("RGBA", image.size)
    depth = SWIMMING_DEPTH[scene.subject] * unit if swimming else 0.0
    origin = (place * BIG, (foot - lift + depth) * BIG)
    brush = Brush(layer, origin, unit * BIG)
    _draw_subject(brush, scene, choices)
    if ball:
        _draw_ball(brush, scene)
    if swimming:
        _sink(layer, foot)
    _lay(image, layer)
    if swimming:
        _draw_ripples(image, place, foot, unit)


def _draw_subject(brush, scene, choices):
    colour = COLOUR_VALUES[scene.colour]
    if scene.subject in PEOPLE:
        person = Person(scene.subject, scene.girl, scene.action, scene.thing, colour, choices)
        if scene.thing == "umbrella":
            _draw_umbrella_shaft(brush, person.hand)
        person.draw(brush)
        if scene.thing == "umbrella":
            _draw_umbrella(brush, person.hand)
        if scene.thing == "kite":
            _draw_kite(brush, person.hand)
    else:
        draw = {"dog": draw_dog, "cat": draw_cat, "bird": draw_bird}[scene.subject]
        draw(brush, scene.action, colour)


def _lay(image, layer):
    """Lays a figure on the picture, darker at its lower right, as if lit from the upper left."""
    box = layer.getbbox()
    if box is None:
        return
    figure = layer.crop(box)
    alpha = figure.getchannel("A")
    small = alpha.resize((max(1, figure.width // SCALE), max(1, figure.height // SCALE)))
    lit = ImageChops.offset(small, -3, -4).filter(ImageFilter.GaussianBlur(2.5))
    shadow = ImageChops.subtract(small, lit).point([round(level * 0.5) for level in range(256)])
    shadow = shadow.resize(figure.size, Image.Resampling.BILINEAR)
    image.paste(figure, box[:2], alpha)
    image.paste((20, 20, 44), box[:2], ImageChops.darker(shadow, alpha))


def _sink(layer, surface):
    """Makes what lies below the water's surface all but invisible."""
    top = round(surface * BIG)
    below = layer.crop((0, top, BIG, BIG))
    below.putalpha(below.getchannel("A").point([round(level * 0.14) for level in range(256)]))
    layer.paste(below, (0, top))


def _draw_ripples(image, place, surface, unit):
    pen = ImageDraw.Draw(image)
    for number, spread in enumerate((0.42, 0.56, 0.70)):
        across, up = spread * unit * BIG, spread * unit * BIG * 0.13
        x, y = place * BIG, (surface + 0.012 + 0.012 * number) * BIG
        box = (x - across, y - up, x + across, y + up)
        start, end = (10, 170) if number else (0, 180)
        pen.arc(box, start, end, fill=(226, 240, 246), width=6 - number)


def _draw_ball(brush, scene):
    reach = 0.62 if scene.subject == "dog" else 0.42
    size = height = BALL * BIG / brush.unit
    if scene.action == "jumping":
        reach, height = (0.62, 1.16) if scene.subject == "dog" else (0.40, 1.0)
    if scene.action == "running":
        reach += 0.2
    centre = (reach, height)
    brush.oval(centre, size, (176, 60, 168))
    stripe = [(-0.6, 0.72), (0.1, 0.3), (0.9, 0.3)]
    points = [(reach + x * size, height + y * size) for x, y in stripe]
    brush.limb(points, [size * 0.3] * 3, (250, 240, 250))
    brush.oval((reach - size * 0.3, height + size * 0.42), size * 0.22, (226, 150, 220))


def _draw_umbrella_shaft(brush, hand):
    brush.limb([(hand[0], hand[1] - 0.08), (hand[0], hand[1] + 0.4)], [0.02] * 2, (70, 56, 50))


def _draw_umbrella(brush, hand):
    x, y = hand[0] - 0.06, hand[1] + 0.26
    canopy = [(-0.4, 0.0), (-0.32, 0.16), (-0.14, 0.26), (0.0, 0.28), (0.14, 0.26)]
    canopy += [(0.32, 0.16), (0.4, 0.0), (0.2, 0.035), (0.0, 0.0), (-0.2, 0.035)]
    brush.patch([(x + a, y + b) for a, b in canopy], (150, 84, 176))
    for left, right in ((-0.4, -0.2), (0.0, 0.2)):
        panel = [(left, 0.0), ((left + right) / 2, 0.03), (right, 0.035), (0.0, 0.28)]
        brush.patch([(x + a, y + b) for a, b in panel], (196, 150, 216))


def _draw_kite(brush, hand):
    # In the picture's own upper corner, whatever the figure's size.
    x = hand[0] + 0.42
    y = (brush.origin[1] - 0.16 * BIG) / brush.unit
    sag = ((hand[0] + x) / 2 + 0.05, (hand[1] + y) / 2 - 0.08)
    brush.limb([hand, sag, (x, y - 0.14)], [0.008] * 3, (240, 240, 240))
    brush.patch([(x, y + 0.16), (x + 0.13, y), (x, y - 0.16), (x - 0.13, y)], (176, 60, 168))
    brush.patch([(x, y + 0.16), (x + 0.13, y), (x, y)], (226, 150, 220))
    brush.patch([(x, y - 0.16), (x - 0.13, y), (x, y)], (226, 150, 220))
    tail = [(x, y - 0.16), (x + 0.05, y - 0.24), (x - 0.02, y - 0.3), (x + 0.04, y - 0.38)]
    brush.limb(tail, [0.02] * 4, (176, 60, 168))


def _draw_boat(image, scene):
    # Behind a figure, which looks to the right, or between two.
    place = (0.17 if scene.count == 1 else 0.5, scene.horizon + 0.055)
    brush = Brush(image, (place[0] * BIG, place[1] * BIG), 0.26 * BIG)
    brush.limb([(0, 0.1), (0, 0.98)], [0.03, 0.02], (96, 70, 50))
    brush.blob([(0.04, 0.94), (0.3, 0.5), (0.36, 0.24), (0.04, 0.24)], (250, 246, 238))
    brush.blob([(-0.03, 0.84), (-0.22, 0.5), (-0.26, 0.26), (-0.03, 0.26)], (228, 224, 222))
    hull = [(-0.44, 0.18), (0.5, 0.2), (0.34, 0.0), (-0.32, 0.0)]
    brush.patch(hull, (120, 66, 56))
    brush.patch([(-0.44, 0.18), (0.5, 0.2), (0.47, 0.15), (-0.42, 0.13)], (244, 236, 224))
    soft_ovals(
        image, [(place[0], place[1] + 0.006, 0.11, 0.008)], shade((40, 78, 104), 0.6), 0.5, 1
    )
