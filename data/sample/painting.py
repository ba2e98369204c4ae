"""Paints a whole scene: scenery, shadows, figures."""

from random import Random

from brush import BIG, SIZE, Brush, soft_ovals
from figures import draw_figure
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scenery import paint_scenery
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


def paint_scene(scene: Scene) -> Image.Image:
    """Paints a scene, SIZE pixels square."""
    choices = scene.choices("the picture")
    image = paint_scenery(scene.setting, scene.action, choices)
    image = Image.blend(image, Image.new("RGB", image.size, HAZE), HAZE_STRENGTH)
    size = choices.uniform(0.97, 1.03)
    middle = 0.5 + choices.uniform(-0.025, 0.025)
    if scene.count == 1:
        _paint_figure(image, scene, middle, 0, size, choices)
    else:
        _paint_figure(image, scene, middle - 0.22, 0.03, size * PAIR_SIZE, choices)
        _paint_figure(image, scene, middle + 0.22, 0, size * PAIR_SIZE, choices)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _paint_figure(
    image: Image.Image, scene: Scene, place: float, farther: float, size: float, choices: Random
) -> None:
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
        soft_ovals(image, [(place, foot + 0.005, 0.34 * unit, 0.022)], (24, 28, 40), 0.42, 2.5)
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
