"""The brush: soft-edged shapes in the coordinates of a figure, and smooth washes of colour."""

import math
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

SIZE = 224  # pixels of a finished photo's side
SCALE = 3  # it is drawn this many times larger, then reduced, which smooths every edge
BIG = SIZE * SCALE  # pixels of the side while it is drawn
CURVE_STEPS = 5  # straight pieces between two given points of a curve


def shade(colour, factor):
    """Makes a colour darker (a factor below 1) or lighter (above 1: towards white).

    Args:
        colour: tuple of int, red, green and blue, 0 to 255.
        factor: float, 0 to 2.

    Returns:
        tuple of int, the new colour.
    """
    if factor <= 1:
        return tuple(round(channel * factor) for channel in colour)
    return mix(colour, (255, 255, 255), factor - 1)


def mix(one, other, part):
    """Mixes two colours.

    Args:
        one: tuple of int, red, green and blue.
        other: tuple of int, the same.
        part: float, 0 for all of `one` to 1 for all of `other`.

    Returns:
        tuple of int, the mixture.
    """
    return tuple(round(a + (b - a) * part) for a, b in zip(one, other, strict=True))


def smooth_curve(points, closed):
    """Draws a Catmull-Rom curve through points.

    Args:
        points: list of tuple of float; each may have any number of coordinates.
        closed: bool, whether the last point is joined to the first.

    Returns:
        list of tuple of float, points close together on the curve.
    """
    count = len(points)
    curve = []
    for number in range(count if closed else count - 1):
        indices = range(number - 1, number + 3)
        if closed:
            before, start, end, after = (points[index % count] for index in indices)
        else:
            before, start, end, after = (points[min(max(i, 0), count - 1)] for i in indices)
        for step in range(CURVE_STEPS):
            t = step / CURVE_STEPS
            curve.append(
                tuple(
                    0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
                    + 0.5 * (3 * b - a - 3 * c + d) * t**3
                    for a, b, c, d in zip(before, start, end, after, strict=True)
                )
            )
    return curve if closed else [*curve, points[-1]]


def convex_hull(points):
    """Finds the outline of the smallest convex shape around points.

    Args:
        points: list of tuple of two float.

    Returns:
        list of tuple of two float, in order around the shape.
    """

    def half(ordered):
        chain = []
        for x, y in ordered:
            while len(chain) > 1:
                (x1, y1), (x2, y2) = chain[-2:]
                if (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    ordered = sorted(set(points))
    return half(ordered) + half(ordered[::-1])


class Brush:
    """Draws in the coordinates of a figure: x forward, y up, the ground at 0, its height about 1.

    Args:
        image: PIL.Image.Image to draw on.
        origin: tuple of float, where the figure's (0, 0) lies, in pixels of `image`.
        unit: float, pixels of the figure's height.
        angle: float, degrees by which the figure is turned, its front upwards.
        pivot: tuple of float, the point of the figure that it is turned about.
    """

    def __init__(self, image, origin, unit, angle=0.0, pivot=(0.0, 0.0)):
        self.image = image
        self.pen = ImageDraw.Draw(image)
        self.origin = origin
        self.unit = unit
        self.angle = angle
        self.pivot = pivot

    def turned(self, angle, pivot):
        """Returns the same brush with the figure turned by degrees about a point of it."""
        return Brush(self.image, self.origin, self.unit, angle, pivot)

    def moved(self, x, y, size=1.0):
        """Returns a brush whose (0, 0) is this one's (x, y), and whose unit is `size` of it."""
        return Brush(self.image, self.place((x, y)), self.unit * size)

    def place(self, point):
        """Finds where a point of the figure lies in the image.

        Args:
            point: tuple of two float, in the figure's units.

        Returns:
            tuple of two float, pixels from the left and the top.
        """
        x, y = point
        if self.angle:
            turn = math.radians(self.angle)
            from_x, from_y = x - self.pivot[0], y - self.pivot[1]
            x = self.pivot[0] + from_x * math.cos(turn) - from_y * math.sin(turn)
            y = self.pivot[1] + from_x * math.sin(turn) + from_y * math.cos(turn)
        return self.origin[0] + x * self.unit, self.origin[1] - y * self.unit

    def blob(self, points, colour):
        """Fills a closed curve through points."""
        self.pen.polygon(smooth_curve([self.place(point) for point in points], True), fill=colour)

    def patch(self, points, colour):
        """Fills a shape with straight sides."""
        self.pen.polygon([self.place(point) for point in points], fill=colour)

    def oval(self, centre, radius, colour, height=None):
        """Fills an ellipse, upright; `height` is its vertical radius where it is no circle."""
        x, y = self.place(centre)
        across, up = radius * self.unit, (height or radius) * self.unit
        self.pen.ellipse((x - across, y - up, x + across, y + up), fill=colour)

    def ring(self, centre, radius, width, colour):
        """Draws a circle's line."""
        x, y = self.place(centre)
        reach = radius * self.unit
        box = (x - reach, y - reach, x + reach, y + reach)
        self.pen.ellipse(box, outline=colour, width=max(1, round(width * self.unit)))

    def limb(self, points, widths, colour):
        """Draws a round-ended, bending, tapering limb.

        Args:
            points: list of tuple of two float, its joints in the figure's units.
            widths: list of float, its width at each joint.
            colour: tuple of int.
        """
        joints = [
            (*self.place(point), width * self.unit / 2)
            for point, width in zip(points, widths, strict=True)
        ]
        curve = smooth_curve(joints, False)
        for x, y, radius in curve:
            self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        for (x1, y1, radius1), (x2, y2, radius2) in pairwise(curve):
            length = math.hypot(x2 - x1, y2 - y1) or 1.0
            aside_x, aside_y = (y1 - y2) / length, (x2 - x1) / length
            corners = [
                (x1 + aside_x * radius1, y1 + aside_y * radius1),
                (x2 + aside_x * radius2, y2 + aside_y * radius2),
                (x2 - aside_x * radius2, y2 - aside_y * radius2),
                (x1 - aside_x * radius1, y1 - aside_y * radius1),
            ]
            self.pen.polygon(corners, fill=colour)


def wash(image, top, bottom, colours):
    """Paints a band from one side to the other, its colours flowing from top to bottom.

    Args:
        image: PIL.Image.Image, RGB.
        top: float, where the band begins, as a part of the height.
        bottom: float, where it ends.
        colours: list of tuple of int, two or more.
    """
    first, last = round(top * image.height), round(bottom * image.height)
    strip = Image.new("RGB", (1, len(colours)))
    strip.putdata(colours)
    # The middle of the first and last pixel of the strip are the band's two edges.
    box = (0, 0.5, 1, len(colours) - 0.5)
    size = (image.width, last - first)
    image.paste(strip.resize(size, Image.Resampling.BILINEAR, box), (0, first))


def soft_ovals(image, ovals, colour, strength, blur):
    """Paints ellipses with soft edges, such as clouds and shadows.

    Args:
        image: PIL.Image.Image, RGB, BIG pixels square.
        ovals: list of tuple of float: centre x, centre y, radius across, radius up, as parts of
            the side.
        colour: tuple of int.
        strength: float, 0 (nothing) to 1 (covers).
        blur: float, pixels of a finished photo over which the edge fades.
    """
    mask = Image.new("L", (SIZE, SIZE))
    pen = ImageDraw.Draw(mask)
    for x, y, across, up in ovals:
        box = [SIZE * value for value in (x - across, y - up, x + across, y + up)]
        pen.ellipse(box, fill=round(255 * strength))
    mask = mask.filter(ImageFilter.GaussianBlur(blur))
    image.paste(colour, mask=mask.resize(image.size, Image.Resampling.BILINEAR))
