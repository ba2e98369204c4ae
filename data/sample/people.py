"""Draws people: a build, a pose of jointed limbs, clothes, hair."""

import math
from dataclasses import dataclass

from brush import convex_hull, shade

SKINS = ((244, 208, 178), (226, 178, 140), (178, 122, 84), (112, 72, 50))
HAIRS = ((52, 36, 28), (98, 62, 34), (30, 26, 28), (168, 120, 62))
TROUSERS = ((58, 62, 78), (74, 66, 60))
SHOE = (48, 40, 40)
METAL = (150, 84, 176)
HAT = (92, 74, 58)
EYE = (34, 28, 30)
FAR = 0.8  # how dark the limbs on the far side are


@dataclass(frozen=True)
class Build:
    """The proportions of a body, as parts of an adult's height.

    Args:
        head: float, radius.
        torso: float, length from hip to neck.
        thigh: float, length.
        shin: float, length.
        arm: float, length of its upper half; the lower one is a little shorter.
        girth: float, width of the chest.
        limb: float, width of an arm; a leg is half as wide again.
    """

    head: float
    torso: float
    thigh: float
    shin: float
    arm: float
    girth: float
    limb: float


BUILDS = {
    "man": Build(0.080, 0.31, 0.26, 0.25, 0.17, 0.25, 0.072),
    "woman": Build(0.082, 0.29, 0.26, 0.25, 0.155, 0.17, 0.054),
    "child": Build(0.128, 0.26, 0.18, 0.17, 0.13, 0.19, 0.066),
}


@dataclass(frozen=True)
class Pose:
    """How a body holds itself; angles in degrees from straight down, forward positive.

    Args:
        lift: float, height of the hip above the ground as a part of the legs' length.
        lean: float, of the torso from upright, forward positive.
        near_leg: tuple of float, angles of the thigh and the shin.
        far_leg: tuple of float, the same.
        near_arm: tuple of float, angles of the upper arm and the forearm.
        far_arm: tuple of float, the same.
    """

    lift: float
    lean: float
    near_leg: tuple
    far_leg: tuple
    near_arm: tuple
    far_arm: tuple


POSES = {
    "standing": Pose(0.99, 0, (6, 2), (-8, -6), (14, 30), (-16, -4)),
    "running": Pose(0.93, 20, (68, -12), (-38, -92), (-62, 24), (52, 128)),
    "jumping": Pose(1.0, 2, (48, -38), (-42, -78), (142, 160), (-138, -160)),
    "sitting": Pose(0.18, -8, (108, 18), (98, 8), (34, 64), (-30, -14)),
    "swimming": Pose(-0.12, 52, (-70, -85), (-62, -80), (128, 78), (72, 84)),
}


def _step(point, angle, length):
    turn = math.radians(angle)
    return point[0] + length * math.sin(turn), point[1] - length * math.cos(turn)


def _jointed(start, angles, lengths):
    """Follows a limb from its root: the root, the joint and the end."""
    joint = _step(start, angles[0], lengths[0])
    return [start, joint, _step(joint, angles[1], lengths[1])]


def _reaching(start, end, lengths, bend):
    """Bends a limb so that it ends at a point; `bend` is 1 or -1, the side of its joint."""
    across, up = end[0] - start[0], end[1] - start[1]
    distance = min(math.hypot(across, up), sum(lengths) * 0.999)
    along = (lengths[0] ** 2 - lengths[1] ** 2 + distance**2) / (2 * distance)
    aside = math.sqrt(max(lengths[0] ** 2 - along**2, 0.0)) * bend
    forward, upward = across / math.hypot(across, up), up / math.hypot(across, up)
    joint = (
        start[0] + forward * along - upward * aside,
        start[1] + upward * along + forward * aside,
    )
    return [start, joint, end]


def _between(one, other, part):
    """Finds the point that lies a part of the way from one point to another."""
    return tuple(a + (b - a) * part for a, b in zip(one, other, strict=True))


class Person:
    """One person, ready to be drawn.

    Args:
        subject: str, `child`, `woman` or `man`.
        girl: bool, whether a child is a girl.
        action: str, a key of POSES, or `riding`.
        thing: str, what the near hand holds: `umbrella` and `kite` raise it.
        colour: tuple of int, of the clothes.
        choices: random.Random, for skin, hair and trousers.
    """

    def __init__(self, subject, girl, action, thing, colour, choices):
        self.build = BUILDS[subject]
        self.long_hair = subject == "woman"
        self.girl = girl
        self.hat = subject == "man" and action != "swimming"
        self.dressed = girl or self.long_hair
        self.bare_legs = self.dressed or subject == "child"
        self.riding = action == "riding"
        self.colour = colour
        self.skin = choices.choice(SKINS)
        self.hair = choices.choice(HAIRS)
        self.trousers = choices.choice(TROUSERS)
        self._bend(action, thing, choices)

    def _bend(self, action, thing, choices):
        """Finds where every joint is."""
        build = self.build
        legs, arms = (build.thigh, build.shin), (build.arm, build.arm * 0.92)
        self.bicycle_size = sum(legs) / 0.5
        pose = POSES["standing" if self.riding else action]
        sway = choices.uniform(-4, 4)
        lean = (34 if self.riding else pose.lean) + sway / 2
        self.hip = (0.0, pose.lift * sum(legs))
        if self.riding:
            self.hip = (-0.12 * self.bicycle_size, 0.56 * self.bicycle_size)
        if action == "swimming":
            self.hip = (-0.3, self.hip[1])
        self.neck = _step(self.hip, 180 - lean, build.torso)
        self.shoulder = _step(self.hip, 180 - lean, build.torso * 0.88)
        self.head = _step(self.neck, 180 - lean * 0.5, build.head * 1.25)
        if self.riding:
            handle = (0.28 * self.bicycle_size, 0.56 * self.bicycle_size)
            self.near_arm = self.far_arm = _reaching(self.shoulder, handle, arms, -1)
            low, high = (0.04, 0.11), (0.08, 0.31)
            pedals = [(x * self.bicycle_size, y * self.bicycle_size) for x, y in (high, low)]
            self.near_leg, self.far_leg = (_reaching(self.hip, end, legs, 1) for end in pedals)
            return
        self.near_leg = _jointed(self.hip, pose.near_leg, legs)
        self.far_leg = _jointed(self.hip, pose.far_leg, legs)
        near_arm = (64, 150) if thing in ("umbrella", "kite") else pose.near_arm
        self.near_arm = _jointed(self.shoulder, [angle + sway for angle in near_arm], arms)
        self.far_arm = _jointed(self.shoulder, [angle - sway for angle in pose.far_arm], arms)

    @property
    def hand(self):
        """Where the near hand is, a tuple of two float in the figure's units."""
        return self.near_arm[-1]

    def draw(self, brush):
        """Draws the person, far limbs first.

        Args:
            brush: brush.Brush at the feet.
        """
        self._draw_leg(brush, self.far_leg, FAR)
        self._draw_arm(brush, self.far_arm, FAR)
        if self.riding:
            draw_bicycle(brush.moved(0, 0, self.bicycle_size))
        if self.long_hair:
            self._draw_long_hair(brush)
        self._draw_leg(brush, self.near_leg, 1.0)
        self._draw_clothes(brush)
        self._draw_head(brush)
        self._draw_arm(brush, self.near_arm, 0.9)

    def _draw_leg(self, brush, joints, light):
        width = self.build.limb * 1.5
        widths = [width * 1.1, width * 0.85, width * 0.6]
        covered = self.skin if self.bare_legs else self.trousers
        brush.limb(joints, widths, shade(covered, light))
        if self.bare_legs and not self.dressed:
            hip, knee, _ = joints
            brush.limb(
                [hip, _between(hip, knee, 0.8)],
                [width * 1.35, width * 1.2],
                shade(self.trousers, light),
            )
        _, knee, ankle = joints
        # The foot points forward, square to the shin.
        down = math.atan2(ankle[1] - knee[1], ankle[0] - knee[0])
        toe = (
            ankle[0] + width * 0.8 * math.cos(down + math.pi / 2),
            ankle[1] + width * 0.8 * math.sin(down + math.pi / 2),
        )
        brush.limb([ankle, toe], [width * 0.62, width * 0.5], shade(SHOE, light))

    def _draw_arm(self, brush, joints, light):
        width = self.build.limb
        brush.limb(joints, [width, width * 0.85, width * 0.7], shade(self.skin, light))
        shoulder, elbow, hand = joints
        sleeve = [shoulder, elbow]
        widths = [width * 1.3, width * 1.15]
        if not self.dressed:
            sleeve.append(_between(elbow, hand, 0.72))
            widths.append(width * 0.95)
        brush.limb(sleeve, widths, shade(self.colour, light))
        brush.oval(hand, width * 0.46, shade(self.skin, light))

    def _draw_clothes(self, brush):
        girth = self.build.girth
        middle = _between(self.hip, self.neck, 0.5)
        chest = _between(self.hip, self.neck, 0.74)
        brush.limb([chest, self.head], [self.build.head * 0.9] * 2, shade(self.skin, 0.9))
        waist = girth * (0.78 if self.dressed else 0.86)
        brush.limb([self.hip, middle, chest], [waist, waist, girth], self.colour)
        if not self.dressed:
            return
        outline = []
        for hip, knee, foot in (self.near_leg, self.far_leg):
            hem = _between(knee, foot, 0.7 if self.long_hair else 0.1)
            # Square to the thigh, so that the skirt hangs from a standing and a sitting lap alike.
            across, up = knee[0] - hip[0], knee[1] - hip[1]
            length = math.hypot(across, up)
            aside = (-up / length * girth * 0.8, across / length * girth * 0.8)
            outline.append((hem[0] + aside[0], hem[1] + aside[1]))
            outline.append((hem[0] - aside[0], hem[1] - aside[1]))
        # A hem that would reach below the feet is spread on the ground.
        outline = [(x, max(y, 0.01)) for x, y in outline]
        outline += [(self.hip[0] + side * waist * 0.6, self.hip[1]) for side in (-1, 1)]
        outline += [(middle[0] + side * waist * 0.42, middle[1]) for side in (-1, 1)]
        brush.patch(convex_hull(outline), shade(self.colour, 0.94))

    def _head_brush(self, brush):
        return brush.moved(*self.head, self.build.head)

    def _draw_long_hair(self, brush):
        points = [(-0.2, 1.1), (-1.0, 0.8), (-1.3, -0.2), (-1.6, -1.4), (-1.1, -2.3)]
        points += [(-0.3, -1.9), (0.0, -0.6), (0.6, 0.7)]
        self._head_brush(brush).blob(points, shade(self.hair, 0.9))

    def _draw_head(self, brush):
        head = self._head_brush(brush)
        head.oval((0, 0), 0.92, self.skin, 1.04)
        head.oval((0.9, -0.12), 0.16, self.skin)
        head.oval((0.46, 0.08), 0.12, EYE, 0.15)
        head.limb([(0.38, -0.46), (0.56, -0.5), (0.72, -0.44)], [0.09] * 3, (168, 84, 78))
        cap = [(-1.04, -0.2), (-1.04, 0.5), (-0.5, 1.1), (0.35, 1.14), (0.96, 0.62)]
        cap += [(0.74, 0.46), (0.1, 0.56), (-0.3, 0.2), (-0.42, -0.4), (-0.8, -0.6)]
        head.blob(cap, self.hair)
        if self.hat:
            head.limb([(-1.3, 0.5), (1.4, 0.56)], [0.3, 0.24], HAT)
            head.blob([(-0.9, 0.5), (-0.84, 1.2), (0.0, 1.4), (0.84, 1.2), (0.94, 0.5)], HAT)
        if self.girl:
            tail = [(-0.85, 0.35), (-1.5, 0.3), (-1.75, -0.5)]
            head.limb(tail, [0.42, 0.55, 0.25], self.hair)
            head.oval((-0.98, 0.36), 0.24, self.colour)


def draw_bicycle(brush):
    """Draws a bicycle, 1.1 long and 0.6 high, its pedals above the origin.

    Args:
        brush: brush.Brush on the ground below the pedals.
    """
    back, front, pedals = (-0.32, 0.2), (0.4, 0.2), (0.06, 0.21)
    seat, handle = (-0.1, 0.5), (0.28, 0.56)
    for wheel in (back, front):
        for number in range(6):
            turn = math.pi * number / 6
            spoke = (0.18 * math.cos(turn), 0.18 * math.sin(turn))
            ends = [(wheel[0] + side * spoke[0], wheel[1] + side * spoke[1]) for side in (-1, 1)]
            brush.limb(ends, [0.008] * 2, (178, 178, 182))
        brush.ring(wheel, 0.2, 0.042, EYE)
    for start, end in ((back, pedals), (back, seat), (seat, pedals), (pedals, handle)):
        brush.limb([start, end], [0.042] * 2, METAL)
    brush.limb([front, handle], [0.042] * 2, METAL)
    brush.limb([(-0.16, 0.43), (0.27, 0.46)], [0.042] * 2, METAL)
    brush.limb([(-0.18, 0.51), (-0.04, 0.51)], [0.05, 0.03], EYE)
    brush.limb([(0.22, 0.6), handle], [0.03] * 2, EYE)
    brush.ring(pedals, 0.05, 0.02, EYE)
