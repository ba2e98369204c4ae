"""Draws dogs, cats and birds, each in the poses of what it can do."""

from brush import shade

EYE = (30, 24, 24)
NOSE = (40, 30, 32)
PINK = (222, 140, 140)
BEAK = (242, 160, 40)
COLLAR = (120, 60, 150)
FAR = 0.74  # how dark the limbs on the far side are
TAIL_OF_CAT = (0.085, 0.085, 0.08, 0.06)  # its width from root to tip

# Where the joints of each leg are: near and far foreleg, near and far hind leg.
DOG_LEGS = {
    "standing": (
        [(0.24, 0.46), (0.25, 0.24), (0.25, 0.04)],
        [(0.30, 0.46), (0.33, 0.24), (0.34, 0.05)],
        [(-0.30, 0.48), (-0.24, 0.30), (-0.37, 0.20), (-0.34, 0.04)],
        [(-0.24, 0.48), (-0.16, 0.30), (-0.28, 0.20), (-0.24, 0.05)],
    ),
    "running": (
        [(0.26, 0.42), (0.50, 0.36), (0.72, 0.24)],
        [(0.30, 0.44), (0.56, 0.44), (0.80, 0.38)],
        [(-0.30, 0.44), (-0.46, 0.36), (-0.62, 0.24), (-0.80, 0.18)],
        [(-0.24, 0.44), (-0.44, 0.42), (-0.64, 0.34), (-0.84, 0.32)],
    ),
    "jumping": (
        [(0.26, 0.44), (0.46, 0.36), (0.36, 0.22)],
        [(0.32, 0.46), (0.54, 0.42), (0.46, 0.28)],
        [(-0.30, 0.46), (-0.44, 0.28), (-0.60, 0.20), (-0.74, 0.06)],
        [(-0.26, 0.46), (-0.36, 0.26), (-0.52, 0.14), (-0.64, 0.00)],
    ),
    "swimming": (
        [(0.24, 0.46), (0.46, 0.44), (0.52, 0.34)],
        [(0.30, 0.46), (0.38, 0.24), (0.38, 0.10)],
        [(-0.30, 0.48), (-0.24, 0.30), (-0.37, 0.20), (-0.34, 0.04)],
        [(-0.24, 0.48), (-0.16, 0.30), (-0.28, 0.20), (-0.24, 0.05)],
    ),
}
# How far each pose lifts the front of the body, in degrees.
TILT = {"standing": 0, "running": 3, "jumping": 24, "swimming": 8}


def draw_dog(brush, action, colour):
    """Draws a dog from the side, about 1.3 long and 1 high.

    Args:
        brush: brush.Brush on the ground.
        action: str, `running`, `jumping`, `sitting`, `standing` or `swimming`.
        colour: tuple of int, of the fur.
    """
    if action == "sitting":
        _draw_sitting_dog(brush, colour)
        return
    brush = brush.turned(TILT[action], (0, 0.45))
    near_fore, far_fore, near_hind, far_hind = DOG_LEGS[action]
    dark = shade(colour, FAR)
    brush.limb(far_fore, [0.15, 0.10, 0.08], dark)
    brush.limb(far_hind, [0.20, 0.15, 0.09, 0.08], dark)
    low = action == "running"
    tail = [(-0.40, 0.58), (-0.56, 0.74), (-0.54, 0.96)]
    brush.limb([(-0.4, 0.56), (-0.6, 0.62), (-0.8, 0.7)] if low else tail, [0.1, 0.1, 0.05], colour)
    brush.limb([(-0.28, 0.52), (0, 0.51), (0.24, 0.53)], [0.28, 0.27, 0.34], colour)
    head = (0.62, 0.74) if low else (0.47, 0.86)
    brush.limb([(0.26, 0.58), head], [0.28, 0.2], colour)
    brush.limb(near_hind, [0.26, 0.17, 0.09, 0.09], shade(colour, 0.92))
    brush.limb(near_fore, [0.17, 0.11, 0.09], shade(colour, 0.92))
    _draw_dog_head(brush, head, colour)


def _draw_sitting_dog(brush, colour):
    dark = shade(colour, FAR)
    brush.limb([(-0.34, 0.08), (-0.56, 0.06), (-0.72, 0.20)], [0.1, 0.1, 0.05], colour)
    brush.limb([(0.22, 0.46), (0.27, 0.24), (0.28, 0.04)], [0.15, 0.1, 0.09], dark)
    brush.limb([(-0.20, 0.18), (-0.04, 0.38), (0.12, 0.56)], [0.40, 0.38, 0.32], colour)
    brush.limb([(0.12, 0.58), (0.20, 0.84)], [0.28, 0.2], colour)
    brush.limb([(-0.16, 0.20), (0.06, 0.24), (-0.02, 0.05)], [0.28, 0.2, 0.1], shade(colour, 0.9))
    brush.limb([(-0.04, 0.05), (0.12, 0.04)], [0.09, 0.08], shade(colour, 0.9))
    brush.limb([(0.15, 0.48), (0.19, 0.24), (0.19, 0.04)], [0.17, 0.11, 0.1], shade(colour, 0.92))
    _draw_dog_head(brush, (0.22, 0.86), colour)


def _draw_dog_head(brush, centre, colour):
    x, y = centre
    brush.limb([(x - 0.14, y - 0.16), (x - 0.01, y - 0.22)], [0.05, 0.05], COLLAR)
    brush.limb([(x, y), (x + 0.24, y - 0.06)], [0.24, 0.12], colour)
    brush.limb([(x + 0.06, y - 0.08), (x + 0.2, y - 0.12)], [0.08, 0.05], shade(colour, 0.8))
    brush.oval((x + 0.3, y - 0.04), 0.036, NOSE)
    ear = [(x - 0.1, y + 0.1), (x, y + 0.1), (x + 0.01, y - 0.06), (x - 0.08, y - 0.18)]
    brush.blob([*ear, (x - 0.15, y - 0.08)], shade(colour, 0.66))
    brush.oval((x + 0.08, y + 0.04), 0.022, EYE)


CAT_LEGS = {
    "standing": (
        [(0.20, 0.38), (0.20, 0.20), (0.21, 0.03)],
        [(0.27, 0.38), (0.29, 0.20), (0.30, 0.04)],
        [(-0.26, 0.38), (-0.18, 0.22), (-0.28, 0.14), (-0.26, 0.03)],
        [(-0.20, 0.38), (-0.10, 0.22), (-0.20, 0.14), (-0.17, 0.04)],
    ),
    "running": (
        [(0.24, 0.34), (0.44, 0.24), (0.62, 0.10)],
        [(0.28, 0.36), (0.52, 0.30), (0.70, 0.20)],
        [(-0.26, 0.34), (-0.42, 0.26), (-0.56, 0.16), (-0.72, 0.12)],
        [(-0.22, 0.34), (-0.40, 0.32), (-0.56, 0.24), (-0.74, 0.22)],
    ),
    "jumping": (
        [(0.22, 0.36), (0.42, 0.34), (0.54, 0.44)],
        [(0.28, 0.38), (0.46, 0.28), (0.60, 0.32)],
        [(-0.26, 0.36), (-0.36, 0.20), (-0.48, 0.10), (-0.58, -0.04)],
        [(-0.22, 0.36), (-0.30, 0.16), (-0.42, 0.06), (-0.48, -0.10)],
    ),
}
CAT_TAILS = {
    "standing": [(-0.36, 0.46), (-0.54, 0.62), (-0.48, 0.90), (-0.60, 1.08)],
    "running": [(-0.36, 0.44), (-0.60, 0.48), (-0.82, 0.42), (-1.02, 0.50)],
    "jumping": [(-0.36, 0.42), (-0.58, 0.50), (-0.70, 0.72), (-0.90, 0.78)],
    "sitting": [(-0.20, 0.08), (-0.48, 0.05), (-0.62, 0.18), (-0.50, 0.34)],
}


def draw_cat(brush, action, colour):
    """Draws a cat that looks out of the picture, about 1.1 long and 1 high.

    Args:
        brush: brush.Brush on the ground.
        action: str, `running`, `jumping`, `sitting` or `standing`.
        colour: tuple of int, of the fur.
    """
    if action == "sitting":
        _draw_sitting_cat(brush, colour)
        return
    brush = brush.turned(TILT[action], (0, 0.38))
    near_fore, far_fore, near_hind, far_hind = CAT_LEGS[action]
    dark = shade(colour, FAR)
    brush.limb(far_fore, [0.12, 0.08, 0.07], dark)
    brush.limb(far_hind, [0.15, 0.12, 0.07, 0.07], dark)
    brush.limb(CAT_TAILS[action], TAIL_OF_CAT, colour)
    brush.limb([(-0.26, 0.42), (0, 0.41), (0.22, 0.44)], [0.26, 0.23, 0.25], colour)
    for number in range(3):
        x = -0.22 + 0.14 * number
        brush.limb([(x, 0.52), (x + 0.03, 0.42)], [0.035, 0.012], shade(colour, 0.78))
    brush.limb(near_hind, [0.2, 0.14, 0.08, 0.08], shade(colour, 0.92))
    brush.limb(near_fore, [0.13, 0.09, 0.08], shade(colour, 0.92))
    _draw_cat_head(brush, (0.44, 0.58) if action == "running" else (0.36, 0.66), colour)


def _draw_sitting_cat(brush, colour):
    brush.limb(CAT_TAILS["sitting"], TAIL_OF_CAT, shade(colour, 0.85))
    body = [(0.02, 0.76), (0.14, 0.62), (0.18, 0.40), (0.26, 0.14), (0.18, 0.0)]
    brush.blob([*body, (-0.22, 0.0), (-0.32, 0.14), (-0.22, 0.44), (-0.12, 0.64)], colour)
    for x in (-0.02, 0.1):
        brush.limb([(x, 0.36), (x + 0.01, 0.03)], [0.12, 0.09], shade(colour, 0.9))
    brush.limb([(-0.24, 0.06), (-0.12, 0.03)], [0.12, 0.08], shade(colour, 0.86))
    _draw_cat_head(brush, (0.02, 0.86), colour)


def _draw_cat_head(brush, centre, colour):
    x, y = centre
    for side in (-1, 1):
        ear = [(x + side * 0.04, y + 0.1), (x + side * 0.15, y + 0.27), (x + side * 0.17, y + 0.02)]
        brush.patch(ear, colour)
        inner = [
            (x + side * 0.08, y + 0.1),
            (x + side * 0.14, y + 0.2),
            (x + side * 0.145, y + 0.06),
        ]
        brush.patch(inner, PINK)
    brush.oval(centre, 0.18, colour, 0.155)
    for side in (-1, 1):
        brush.oval((x + side * 0.075, y + 0.03), 0.034, (168, 206, 84), 0.038)
        brush.oval((x + side * 0.075, y + 0.03), 0.013, EYE, 0.034)
        for rise in (0.02, -0.03):
            start, end = (x + side * 0.06, y - 0.06), (x + side * 0.25, y - 0.06 + rise)
            brush.limb([start, end], [0.008, 0.006], (226, 222, 216))
    brush.oval((x, y - 0.045), 0.022, PINK, 0.016)


def draw_bird(brush, action, colour):
    """Draws a bird from the side, about 1 long and 1 high.

    Args:
        brush: brush.Brush on the ground, or on the water.
        action: str, `standing`, `flying` or `swimming`.
        colour: tuple of int, of the feathers.
    """
    {"standing": _draw_standing_bird, "flying": _draw_flying_bird}.get(action, _draw_swimming_bird)(
        brush, colour
    )


def _draw_bird_head(brush, centre, radius, colour):
    x, y = centre
    beak = [(x + radius * 0.7, y + radius * 0.4), (x + radius * 2.1, y - radius * 0.15)]
    brush.patch([*beak, (x + radius * 0.7, y - radius * 0.5)], BEAK)
    brush.oval(centre, radius, colour)
    brush.oval((x + radius * 0.4, y + radius * 0.25), radius * 0.24, (246, 246, 240))
    brush.oval((x + radius * 0.44, y + radius * 0.25), radius * 0.15, EYE)


def _draw_standing_bird(brush, colour):
    for x, light in ((0.06, 0.8), (-0.04, 1.0)):
        leg = shade(BEAK, light)
        brush.limb([(x, 0.34), (x - 0.02, 0.17), (x + 0.02, 0.02)], [0.04, 0.03, 0.03], leg)
        for toe in (-0.08, 0.1, 0.14):
            brush.limb([(x + 0.02, 0.02), (x + toe, 0.0)], [0.03, 0.02], leg)
    tail = [(-0.2, 0.42), (-0.66, 0.16), (-0.72, 0.25), (-0.24, 0.58)]
    brush.patch(tail, shade(colour, 0.7))
    body = [(0.12, 0.92), (0.32, 0.68), (0.26, 0.42), (0.04, 0.28), (-0.22, 0.32)]
    brush.blob([*body, (-0.42, 0.36), (-0.28, 0.58), (-0.06, 0.78)], colour)
    _draw_bird_head(brush, (0.22, 0.86), 0.15, colour)
    wing = [(0.1, 0.66), (0.08, 0.46), (-0.14, 0.36), (-0.5, 0.26), (-0.3, 0.56)]
    brush.blob(wing, shade(colour, 0.74))


def _draw_flying_bird(brush, colour):
    far = [(0.14, 0.06), (0.3, 0.32), (0.34, 0.62), (0.22, 0.9), (0.1, 0.6), (-0.02, 0.32)]
    brush.blob([*far, (-0.1, 0.06)], shade(colour, 0.62))
    tail = [(-0.3, 0.05), (-0.7, 0.12), (-0.76, -0.02), (-0.68, -0.12), (-0.3, -0.08)]
    brush.patch(tail, shade(colour, 0.7))
    brush.blob(
        [(0.4, 0.1), (0.3, -0.12), (0.0, -0.17), (-0.4, -0.04), (-0.3, 0.08), (0.1, 0.15)], colour
    )
    _draw_bird_head(brush, (0.42, 0.07), 0.13, colour)
    near = [(0.18, 0.04), (0.14, 0.36), (-0.1, 0.66), (-0.46, 0.84), (-0.36, 0.5), (-0.26, 0.24)]
    brush.blob([*near, (-0.16, 0.0)], shade(colour, 0.82))
    for number in range(3):
        start = (-0.1 + 0.07 * number, 0.12)
        end = (-0.36 + 0.12 * number, 0.62 - 0.04 * number)
        brush.limb([start, end], [0.012, 0.02], shade(colour, 0.62))


def _draw_swimming_bird(brush, colour):
    tail = [(-0.36, 0.22), (-0.7, 0.4), (-0.62, 0.12)]
    brush.patch(tail, shade(colour, 0.7))
    body = [(0.46, 0.22), (0.4, -0.02), (0.0, -0.1), (-0.4, -0.02), (-0.56, 0.22), (-0.3, 0.32)]
    brush.blob([*body, (0.05, 0.3), (0.3, 0.36)], colour)
    brush.limb([(0.3, 0.2), (0.42, 0.42), (0.36, 0.66)], [0.24, 0.15, 0.15], colour)
    _draw_bird_head(brush, (0.38, 0.7), 0.14, colour)
    wing = [(0.18, 0.26), (0.08, 0.06), (-0.2, 0.04), (-0.52, 0.2), (-0.2, 0.3)]
    brush.blob(wing, shade(colour, 0.76))
