"""Draws smooth shapes in the coordinates of a figure, and soft washes of colour, with Pillow."""

import numpy as np
from PIL import Image, ImageDraw

SIZE = 224  # pixels of a finished photo's side
SCALE = 3  # it is painted this many times larger, then reduced, which smooths every edge
BIG = SIZE * SCALE  # pixels of the side while it is painted
CURVE_STEPS = 8  # straight pieces between two given points of a curve

Colour = tuple[int, int, int]


def shade(colour: Colour, factor: float) -> Colour:
    """Makes a colour darker (a factor below 1) or lighter (1 to 2, which is white)."""
    part = max(0, factor - 1)
    return tuple(round(channel * min(1, factor) + (255 - channel) * part) for channel in colour)


def smooth_curve(points: np.ndarray) -> np.ndarray:
    """Follows a Catmull-Rom curve through points; both arrays are (points, coordinates)."""
    around = np.pad(points, ((1, 1), (0, 0)), mode="edge")
    t = np.arange(CURVE_STEPS)[:, None] / CURVE_STEPS
    pieces = [
        b + ((c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
        for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])


class Brush:
    """Draws in coordinates of a figure, x forward and y up; origin and unit are in pixels."""

    def __init__(self, image: Image.Image, origin=(0, BIG), unit: float = BIG):
        self.image, self.pen = image, ImageDraw.Draw(image)
        self.origin, self.unit = origin, unit

    def moved(self, x: float, y: float, size: float) -> "Brush":
        """Returns a brush whose origin is this one's (x, y) and whose unit is `size` of it."""
        return Brush(self.image, self.place([(x, y)])[0], self.unit * size)

    def place(self, points) -> np.ndarray:
        """Finds where points (n, 2) of the figure lie in the image, in pixels (n, 2)."""
        return np.add(self.origin, np.multiply(points, (self.unit, -self.unit)))

    def patch(self, points, colour: Colour) -> None:
        """Fills a shape with straight sides."""
        self.pen.polygon(self.place(points).ravel().tolist(), fill=colour)

    def oval(self, centre, across: float, up: float, colour: Colour) -> None:
        """Fills an upright ellipse of two radii."""
        self.pen.ellipse(self._box(centre, across, up), fill=colour)

    def ring(self, centre, radius: float, width: float, colour: Colour) -> None:
        """Draws a circle's line."""
        self.pen.ellipse(self._box(centre, radius, radius), None, colour, round(width * self.unit))

    def _box(self, centre, across, up):
        (x, y), (across, up) = self.place([centre])[0], np.multiply((across, up), self.unit)
        return x - across, y - up, x + across, y + up

    def limb(self, points, widths, colour: Colour) -> None:
        """Draws a bending, tapering limb with round ends through points, its width at each."""
        radii = np.broadcast_to(np.multiply(widths, self.unit / 2), len(points))
        curve = smooth_curve(np.column_stack([self.place(points), radii]))
        for x, y, radius in curve:
            self.pen.circle((x, y), radius, fill=colour)
        centres, radii = curve[:, :2], curve[:, 2:]
        along = np.gradient(centres, axis=0)
        aside = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True) * radii
        outline = np.concatenate([centres + aside, (centres - aside)[::-1]])
        self.pen.polygon(outline.ravel().tolist(), fill=colour)


def wash(image: Image.Image, top: float, bottom: float, colours: list[Colour]) -> None:
    """Paints a band between two heights, parts of the picture's, its colours flowing downwards."""
    first, last = round(top * image.height), round(bottom * image.height)
    strip = Image.new("RGB", (1, len(colours)))
    strip.putdata(colours)
    # The middle of the first and last pixel of the strip are the band's two edges.
    box = (0, 0.5, 1, len(colours) - 0.5)
    band = strip.resize((image.width, last - first), Image.Resampling.BILINEAR, box)
    image.paste(band, (0, first))
