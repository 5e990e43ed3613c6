"""The things that appear in the drawn clips: one picture of each class.

A class is a function from places `x`, `y` (to the right and down, -1 to 1) to
the part of the thing that is there: 0 for none, 1 and 2 for its two colours.
"""

from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Pixels are drawn as the means of so many by so many points.
_POINTS = 3


def draw(name: str, size: int, turn: float, colours: np.ndarray) -> np.ndarray:
    """Returns a picture of a class.

    Args:
      name: The class, a key of `SHAPES`.
      size: Height and width in pixels.
      turn: Angle in radians, clockwise.
      colours: `[2, 3]`, red, green and blue in 0 to 255.

    Returns:
      float32 `[size, size, 4]`: red, green and blue times the share of the
      pixel that the thing covers, then this share, 0 to 1.
    """
    axis = (np.arange(size * _POINTS) + 0.5) * 2 / (size * _POINTS) - 1
    x, y = np.meshgrid(axis, axis)
    cosine, sine = np.cos(turn), np.sin(turn)
    part = SHAPES[name](cosine * x + sine * y, cosine * y - sine * x)
    palette = np.zeros((3, 4), np.float32)
    palette[1:, :3], palette[1:, 3] = colours, 1
    points = palette[part].reshape(size, _POINTS, size, _POINTS, 4)
    return points.mean(axis=(1, 3))


def _ball(x, y):
    stripe = np.floor(np.arctan2(y, x) * 3 / np.pi).astype(int) % 2
    return np.where(np.hypot(x, y) < 0.95, 1 + stripe, 0)


def _clock(x, y):
    radius = np.hypot(x, y)
    hands = (abs(x) < 0.06) & (y > -0.75) & (y < 0.05)
    hands |= (abs(y) < 0.08) & (x > -0.05) & (x < 0.5)
    hands |= (radius > 0.8) & (abs(np.sin(6 * np.arctan2(y, x))) < 0.3)
    return np.where(radius < 0.95, 1 + (hands | (radius > 0.88)), 0)


def _fish(x, y):
    body = np.hypot((x - 0.2) / 0.7, y / 0.45) < 1
    tail = (x < -0.3) & (abs(y) < -0.85 * (x + 0.25))
    eye = np.hypot(x - 0.6, y + 0.12) < 0.09
    stripes = body & (abs(x - 0.15) % 0.3 < 0.1) & (x < 0.45)
    return np.where(body | (tail & (x > -0.9)), 1 + (eye | stripes), 0)


def _flower(x, y):
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    petals = radius < 0.62 + 0.33 * np.cos(6 * angle)
    return np.where(petals | (radius < 0.3), 1 + (radius < 0.3), 0)


def _heart(x, y):
    def inside(scale):
        a, b = x * scale, 0.15 - y * scale
        return (a**2 + b**2 - 1) ** 3 < a**2 * b**3

    return inside(1.3).astype(int) + inside(1.8)


def _moon(x, y):
    inside = (np.hypot(x, y) < 0.95) & (np.hypot(x - 0.45, y) > 0.75)
    return np.where(inside, 1 + (np.hypot(x + 0.6, y + 0.3) < 0.12), 0)


def _star(x, y):
    fifth = 2 * np.pi / 5
    angle = abs((np.arctan2(x, -y) + fifth / 2) % fifth - fifth / 2)
    # The line from a point of the star to the notch beside it.
    outer, inner = 0.95, 0.4
    notch = inner * np.array([np.cos(fifth / 2), np.sin(fifth / 2)])
    slope = (outer - notch[0]) / notch[1]
    radius = np.hypot(x, y) * (np.cos(angle) + slope * np.sin(angle)) / outer
    return (radius < 1).astype(int) + (radius < 0.5)


def _umbrella(x, y):
    cloth = (np.hypot(x, y - 0.1) < 0.95) & (
        y < 0.1 - 0.12 * abs(np.sin(2 * np.pi * x))
    )
    stick = (abs(x) < 0.05) & (y > 0) & (y < 0.85)
    hook = abs(np.hypot(x - 0.15, y - 0.8) - 0.15) < 0.05
    part = np.where(cloth, 1 + (np.floor(x * 2).astype(int) % 2), 0)
    return np.where((stick | (hook & (y > 0.8))) & ~cloth, 2, part)


SHAPES: dict[str, Shape] = {
    "ball": _ball,
    "clock": _clock,
    "fish": _fish,
    "flower": _flower,
    "heart": _heart,
    "moon": _moon,
    "star": _star,
    "umbrella": _umbrella,
}
