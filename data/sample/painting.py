"""Paints a whole scene: scenery, shadows, figures."""

from brush import BIG, SIZE, Brush, soft_ovals
from figures import draw_figure
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scenery import paint_scenery
from scenes import Scene

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
# Heights, as parts of the picture's: of each figure; of swimmers, who are seen from nearer by since
# the water hides most of them; and how much of a swimmer lies below the water.
UNITS = {"dog": 0.50, "cat": 0.38, "bird": 0.52, "child": 0.44, "woman": 0.63, "man": 0.65}
SWIMMING_UNITS = {"dog": 0.60, "bird": 0.55, "child": 0.70, "woman": 0.90, "man": 0.94}
SWIMMING_DEPTHS = {"dog": 0.30}

HAZE, HAZE_STRENGTH = (214, 222, 228), 0.5  # over the scenery, so that the figures stand out
WATER_SURFACE = 0.70  # height of a swimmer's waterline, from the top
GROUND = 0.90  # where figures stand, from the top
LIFTS = {"jumping": 0.14, "flying": 0.38}  # how far above the ground they are
PAIR_SIZE = 0.75  # how large each of two figures is


def paint_scene(scene: Scene) -> Image.Image:
    """Paints a scene, SIZE pixels square."""
    choices = scene.choices("the picture")
    image = paint_scenery(scene.setting, scene.action, choices)
    image = Image.blend(image, Image.new("RGB", image.size, HAZE), HAZE_STRENGTH)
    size = choices.uniform(0.97, 1.03)
    middle = 0.5 + choices.uniform(-0.025, 0.025)
    places = [(middle, 0.0)]
    if scene.count == 2:
        size *= PAIR_SIZE
        # One of the two stands a little farther away.
        places = [(middle - 0.22, 0.03), (middle + 0.22, 0.0)]
    for place, farther in places:
        _paint_figure(image, scene, place, farther, size, choices)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _paint_figure(image, scene, place, farther, size, choices):
    swimming = scene.action == "swimming"
    unit = size * (SWIMMING_UNITS if swimming else UNITS)[scene.subject]
    foot = (WATER_SURFACE if swimming else GROUND) - farther
    lift = LIFTS.get(scene.action, 0.0)
    if swimming:
        lift = -SWIMMING_DEPTHS.get(scene.subject, 0.0)
    else:
        soft_ovals(image, [(place, foot + 0.005, 0.34 * unit, 0.022)], (24, 28, 40), 0.42, 2.5)
    layer = Image.new("RGBA", image.size)
    brush = Brush(layer, (place * BIG, (foot - lift) * BIG), unit * BIG / 100)
    draw_figure(brush, scene.subject, scene.action, COLOUR_VALUES[scene.colour], choices)
    if swimming:
        _sink(layer, foot)
    _lay(image, layer)
    if swimming:
        _draw_ripples(image, place, foot, unit)


def _lay(image, layer):
    """Lays a figure on the picture, darker at its lower right, as if lit from the upper left."""
    alpha = layer.getchannel("A")
    small = alpha.resize((SIZE, SIZE))
    lit = ImageChops.offset(small, -3, -4).filter(ImageFilter.GaussianBlur(2.5))
    shadow = ImageChops.subtract(small, lit).point([level // 2 for level in range(256)])
    image.paste(layer, mask=alpha)
    image.paste((20, 20, 44), mask=ImageChops.darker(shadow.resize(alpha.size), alpha))


def _sink(layer, surface):
    """Makes what lies below the water's surface all but invisible."""
    below = layer.crop((0, round(surface * BIG), BIG, BIG))
    below.putalpha(below.getchannel("A").point([level // 7 for level in range(256)]))
    layer.paste(below, (0, round(surface * BIG)))


def _draw_ripples(image, place, surface, unit):
    pen = ImageDraw.Draw(image)
    for number, spread in enumerate((0.42, 0.56, 0.70)):
        across, up = spread * unit * BIG, spread * unit * BIG * 0.13
        x, y = place * BIG, (surface + 0.012 + 0.012 * number) * BIG
        pen.arc((x - across, y - up, x + across, y + up), 0, 180, (226, 240, 246), 6 - number)
