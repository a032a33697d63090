"""Synthetic clips with exact motion: a painted landscape that a camera pans, zooms and turns over, made by code.

The landscape is drawn at twice the frame's resolution and low-passed, so that sampling it anywhere neither aliases nor
blurs: each frame is exact, and so is the flow between two frames, which follows from the camera alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from clips import Clip, make_clip
from numpy.typing import NDArray

from farm.measure.flow import Motion
from farm.motion import Frame, inside

OVERSAMPLING = 2
"""Canvas pixels per frame pixel."""
PERIOD_WIDTHS = 3
"""The landscape repeats after this many frame widths, so that a pan may be of any length."""
LOW_PASS_PX = 0.75
"""Gaussian, in frame pixels: 6 % of a pattern at the frame's Nyquist frequency is left."""
_PAD = 16
_EDGE_PX = 1.5

Places = NDArray[np.float64]
"""`(H, W, 2)`: x, y."""
View = NDArray[np.float64]
"""`(2, 3)`: the affine map from a frame's pixels to the landscape, both in frame pixels."""


@dataclass(frozen=True)
class SyntheticClip:
    """A clip whose frames and motion are functions of the frame's number."""

    name: str
    size: tuple[int, int]  # width, height
    frame_count: int
    picture: Callable[[int], Frame]
    motion_at: Callable[[int], Motion | None]
    cuts: tuple[int, ...] = ()

    def frames(self) -> Iterator[Frame]:
        """Every frame, `(H, W, 3) uint8 sRGB`."""
        return (self.picture(number) for number in range(self.frame_count))

    def motions(self) -> Iterator[Motion | None]:
        """For each frame but the first, its exact motion from the frame before; None at a cut."""
        return (self.motion_at(number) for number in range(1, self.frame_count))

    def write(self, path: Path, **options) -> Clip:
        """The clip as a file; `options` are `make_clip`'s."""
        return make_clip(path, frames=self.frame_count, size=self.size, pictures_from=self.frames(), **options)


def pan(size: tuple[int, int] = (320, 180), frames: int = 60, step_px: float = 3.0, scene: int = 0) -> SyntheticClip:
    """The camera moves right by `step_px` a frame."""
    return _moving("pan", size, frames, lambda number: _view(size, shift_px=step_px * number), scene)


def zoom_rotation(size: tuple[int, int] = (320, 180), frames: int = 60, scene: int = 1) -> SyntheticClip:
    """The camera draws near and away by a quarter and rolls to and fro by 6°, at up to 1.4 % and 0.4° a frame."""

    def view(number: int) -> View:
        phase = 2 * math.pi * number / 100
        return _view(size, zoom=math.exp(-0.11 + 0.11 * math.cos(2 * phase)), turn_deg=6 * math.sin(phase))

    return _moving("zoom_rotation", size, frames, view, scene)


def layers(
    size: tuple[int, int] = (320, 180), frames: int = 60, step_px: tuple[float, float] = (1.5, -2.5), scene: int = 0
) -> SyntheticClip:
    """A balloon drifts before a panning landscape, covers some of it and bares some.

    `step_px`: how far the camera, and the balloon in the picture, move right in a frame.
    """
    radius = 0.22 * min(size)
    path = size[0] + 2 * radius

    def centre(number: int) -> tuple[float, float]:
        along = (size[0] * 0.66 + radius + step_px[1] * number) % path - radius
        return along, size[1] * (0.45 + 0.08 * math.sin(number / 15))

    def cover(places: Places, number: int) -> NDArray[np.float64]:
        x, y = centre(number)
        distance = np.hypot(places[..., 0] - x, places[..., 1] - y)
        return np.clip((radius - distance) / _EDGE_PX + 0.5, 0, 1)

    def ground(number: int) -> View:
        return _view(size, shift_px=step_px[0] * number)

    def balloon(number: int) -> View:
        """The pattern on the balloon, which moves with it."""
        x, y = centre(number)
        return np.array([[1, 0, -x], [0, 1, -y]], np.float64)

    def picture(number: int) -> Frame:
        places = _pixels(size)
        share = cover(places, number)[..., None]
        front = _balloon_colours(_mapped(balloon(number), places), radius)
        return _quantized(share * front + (1 - share) * _sampled(size, ground(number), scene))

    def motion(number: int) -> Motion:
        places = _pixels(size)
        share = cover(places, number)
        behind = _flow(ground(number), ground(number - 1), places)
        front = _flow(balloon(number), balloon(number - 1), places)
        flow = np.where((share > 0.5)[..., None], front, behind)
        before = cover(places + flow, number - 1)
        whole = ((share == 1) & (before == 1)) | ((share == 0) & (before == 0))
        return Motion(flow.astype(np.float32), whole & inside(flow.astype(np.float32)))

    return SyntheticClip("layers", size, frames, picture, motion)


def brightness(size: tuple[int, int] = (320, 180), frames: int = 60, last: float = 0.7) -> SyntheticClip:
    """A slow pan while the light fades evenly from 1 to `last`."""
    steady = pan(size, frames, step_px=1.0, scene=1)

    def picture(number: int) -> Frame:
        light = 1 + (last - 1) * number / max(1, frames - 1)
        return _quantized(light * _sampled(size, _view(size, shift_px=number), 1))

    return SyntheticClip("brightness", size, frames, picture, steady.motion_at)


def cut(size: tuple[int, int] = (320, 180), frames: int = 60, at: int | None = None) -> SyntheticClip:
    """Two shots of two landscapes; the second begins at frame `at`, by default the middle."""
    begin = frames // 2 if at is None else at
    shots = pan(size, frames, step_px=2.0, scene=0), pan(size, frames, step_px=-1.5, scene=2)

    def motion(number: int) -> Motion | None:
        return None if number == begin else shots[number >= begin].motion_at(number)

    return SyntheticClip("cut", size, frames, lambda n: shots[n >= begin].picture(n), motion, (begin,))


def every(size: tuple[int, int] = (320, 180), frames: int = 60) -> tuple[SyntheticClip, ...]:
    """One of each kind."""
    makers = (pan, zoom_rotation, layers, brightness, cut)
    return tuple(make(size, frames) for make in makers)


def _moving(name: str, size: tuple[int, int], frames: int, view: Callable[[int], View], scene: int) -> SyntheticClip:
    def motion(number: int) -> Motion:
        flow = _flow(view(number), view(number - 1), _pixels(size)).astype(np.float32)
        return Motion(flow, inside(flow))

    return SyntheticClip(name, size, frames, lambda n: _quantized(_sampled(size, view(n), scene)), motion)


def _view(size: tuple[int, int], *, shift_px: float = 0.0, zoom: float = 1.0, turn_deg: float = 0.0) -> View:
    """The camera's centre is the frame's, moved right by `shift_px`; `zoom` below 1 shows less of the landscape."""
    angle = math.radians(turn_deg)
    turn = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    return np.column_stack([turn, centre + np.array([shift_px, 0]) - turn @ centre])


def _flow(now: View, before: View, places: Places) -> Places:
    """Where the pixels at `places` of one view are in the view before, relative to them."""
    back = cv2.invertAffineTransform(before)
    return _mapped(back, _mapped(now, places)) - places


def _mapped(view: View, places: Places) -> Places:
    return places @ view[:, :2].T + view[:, 2]


@lru_cache(maxsize=4)
def _pixels(size: tuple[int, int]) -> Places:
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64))
    return np.stack([x, y], axis=-1)


def _sampled(size: tuple[int, int], view: View, scene: int) -> NDArray[np.float32]:
    """The landscape as a view shows it, `(H, W, 3) float32 [0, 1]`."""
    canvas, margin_px = landscape(size, scene)
    places = _mapped(view, _pixels(size))
    x = (places[..., 0] * OVERSAMPLING) % (canvas.shape[1] - 2 * _PAD) + _PAD
    y = (places[..., 1] + margin_px) * OVERSAMPLING
    return cv2.remap(canvas, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LANCZOS4)


def _quantized(image: NDArray) -> Frame:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _balloon_colours(places: Places, radius: float) -> NDArray[np.float64]:
    """Gores of a balloon, lit from the upper left, `(H, W, 3) [0, 1]`; `places` from its centre."""
    x, y = places[..., 0] / radius, places[..., 1] / radius
    meridian = np.arcsin(np.clip(x / np.sqrt(np.clip(1 - y * y, 0.05, 1)), -1, 1))
    limb = np.clip(3 * (1 - x * x - y * y), 0, 1)  # near it the stripes would be too narrow for pixels
    stripe = 0.5 + 0.5 * limb * np.tanh(2.5 * np.sin(5 * meridian))
    band = 0.5 + 0.5 * np.tanh(6 * np.cos(7 * y))
    red, cream, blue = (np.array(colour) / 255 for colour in ((196, 52, 44), (244, 226, 186), (36, 70, 120)))
    cloth = stripe[..., None] * red + (1 - stripe[..., None]) * cream
    cloth = cloth + (0.6 * np.exp(-((y / 0.3) ** 4)) * band)[..., None] * (blue - cloth)
    light = np.clip(0.95 - 0.35 * x - 0.3 * y - 0.25 * (x * x + y * y), 0.25, 1.15)
    return np.clip(cloth * light[..., None], 0, 1)


# The landscape.

_SCENES = (
    # sky above, sky at the horizon, hills far to near, meadow, leaves
    ((64, 122, 190), (250, 222, 182), ((138, 152, 178), (94, 122, 124), (58, 96, 70)), (126, 150, 62), (44, 84, 40)),
    ((86, 70, 140), (252, 176, 122), ((150, 110, 150), (108, 74, 106), (66, 50, 72)), (150, 104, 62), (108, 52, 34)),
    ((36, 66, 92), (168, 206, 206), ((112, 148, 160), (70, 108, 118), (38, 74, 82)), (96, 128, 98), (26, 60, 56)),
)


@lru_cache(maxsize=6)
def landscape(size: tuple[int, int], scene: int = 0) -> tuple[NDArray[np.float32], float]:
    """A landscape for frames of `size`, `(H, W, 3) float32 [0, 1]`, periodic in x; and its margin above, frame px."""
    width, height = size
    margin_px = math.ceil(0.15 * height + 0.08 * width) + _PAD
    period, rows = PERIOD_WIDTHS * width * OVERSAMPLING, (height + 2 * margin_px) * OVERSAMPLING
    painter = _Painter(np.random.default_rng(scene), period, rows, unit=OVERSAMPLING * max(size) / 320)
    canvas = painter.paint(*_SCENES[scene % len(_SCENES)], top=margin_px * OVERSAMPLING, height=height * OVERSAMPLING)
    wrapped = np.pad(canvas, ((0, 0), (_PAD, _PAD), (0, 0)), mode="wrap")
    smooth = cv2.GaussianBlur(wrapped, (0, 0), LOW_PASS_PX * OVERSAMPLING, borderType=cv2.BORDER_REFLECT_101)
    smooth[:, :_PAD], smooth[:, -_PAD:] = smooth[:, -2 * _PAD : -_PAD], smooth[:, _PAD : 2 * _PAD]
    return np.ascontiguousarray(smooth), margin_px


class _Painter:
    """Paints one landscape; everything wraps around in x. Lengths are in canvas pixels, `unit` of them to a detail."""

    def __init__(self, rng: np.random.Generator, width: int, rows: int, unit: float) -> None:
        self.rng, self.width, self.rows, self.unit = rng, width, rows, unit
        self.x = np.arange(width)[None, :] * 2 * math.pi / width
        self.y = np.arange(rows, dtype=np.float64)[:, None]

    def paint(self, above, horizon, hills, meadow, leaves, *, top: int, height: int) -> NDArray[np.float32]:
        image = self._sky(above, horizon, top, height)
        for depth, colour in enumerate(hills):
            crest = top + height * (0.42 + 0.10 * depth) + self._ridge(height * (0.09 - 0.018 * depth), depth)
            texture = self._noise((3.0 + 2 * depth, 1.5), 0.10 + 0.05 * depth) + self._noise((16, 9), 0.16)
            image = self._over(image, self._lit(colour, texture), self._below(crest))
            if depth == 1:
                self._houses(image, crest)
        crest = top + height * 0.74 + self._ridge(height * 0.03, 5)
        grass = self._noise((1.2, 5.0), 0.24) + self._noise((24, 7), 0.22)
        image = self._over(image, self._lit(meadow, grass), self._below(crest))
        self._trees(image, crest, leaves, height)
        return np.clip(image / 255, 0, 1).astype(np.float32)

    def _sky(self, above, horizon, top: int, height: int) -> NDArray:
        down = np.clip((self.y - top * 0.5) / (0.55 * height + top * 0.5), 0, 1)[..., None]
        sky = (1 - down) * np.array(above) + down * np.array(horizon) + np.zeros((self.rows, self.width, 1))
        sun_x, sun_y = self.width * 0.16, top + height * 0.28
        distance = np.hypot(np.arange(self.width)[None, :] - sun_x, self.y - sun_y) / self.unit
        sky = sky + 46 * np.exp(-distance / 26)[..., None]
        sky = self._over(sky, np.array((255, 244, 214.0)), np.clip(13 - distance, 0, 1))
        clouds = self._noise((44, 9), 1.0) + self._noise((9, 4), 0.28)
        share = np.clip((clouds - 0.75) / 0.9, 0, 1) * np.clip(1.1 - 1.3 * down[..., 0], 0, 1)
        return self._over(sky, np.array((252, 246, 240.0)), 0.85 * share)

    def _houses(self, image: NDArray, crest: NDArray) -> None:
        walls = ((236, 222, 196), (214, 176, 140), (196, 204, 206))
        for number in range(14):
            x = int((number + self.rng.uniform(0.1, 0.9)) * self.width / 14)
            side = self.unit * self.rng.uniform(9, 15)
            floor = float(crest[0, x % self.width]) + side * 1.6
            for at in (x - self.width, x, x + self.width):
                self._house(image, at, floor, side, walls[number % 3])

    def _house(self, image: NDArray, x: float, floor: float, side: float, wall: tuple[int, ...]) -> None:
        def box(left, top, right, bottom, colour) -> None:
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            cv2.fillPoly(image, [np.round(corners).astype(np.int32)], colour)

        box(x - side, floor - 1.2 * side, x + side, floor, wall)
        box(x + 0.35 * side, floor - 1.2 * side, x + side, floor, [0.8 * part for part in wall])
        roof = [(x - 1.2 * side, floor - 1.15 * side), (x, floor - 2.1 * side), (x + 1.2 * side, floor - 1.15 * side)]
        cv2.fillPoly(image, [np.round(roof).astype(np.int32)], (152, 66, 48))
        for left in (-0.7, -0.15, 0.5):
            box(x + left * side, floor - 0.85 * side, x + (left + 0.3) * side, floor - 0.4 * side, (58, 56, 66))

    def _trees(self, image: NDArray, crest: NDArray, leaves, height: int) -> None:
        for _ in range(26):
            x, scale = int(self.rng.integers(self.width)), self.unit * self.rng.uniform(0.7, 1.6)
            floor = float(crest[0, x]) + self.rng.uniform(0.02, 0.22) * height
            puffs = [
                (self.rng.normal(0, 6), self.rng.uniform(-34, -14), self.rng.uniform(4, 9), self.rng.uniform(0.7, 1.35))
                for _ in range(16)
            ]
            for at in (x - self.width, x, x + self.width):
                foot, fork = (round(at), round(floor)), (round(at), round(floor - 16 * scale))
                cv2.line(image, foot, fork, (74, 54, 42), max(1, round(2.4 * scale)))
                for right, up, radius, light in sorted(puffs, key=lambda puff: puff[3]):
                    place = (round(at + right * scale), round(floor + up * scale))
                    cv2.circle(image, place, max(1, round(radius * scale)), [light * part for part in leaves], -1)

    def _ridge(self, height: float, seed: int) -> NDArray:
        """A crest's rise above its mean, `(1, W)`, periodic."""
        waves = [(k, self.rng.uniform(0, 2 * math.pi)) for k in (2 + seed % 2, 5, 9, 17, 31)]
        return -height * sum(np.sin(k * self.x + phase) / (k / 3) ** 0.9 for k, phase in waves)

    def _below(self, crest: NDArray) -> NDArray:
        return np.clip(self.y - crest + 0.5, 0, 1)

    def _lit(self, colour, texture: NDArray) -> NDArray:
        return np.array(colour) * np.clip(1 + texture, 0.3, 1.9)[..., None]

    def _over(self, image: NDArray, colours: NDArray, share: NDArray) -> NDArray:
        return image + share[..., None] * (colours - image)

    def _noise(self, grain: tuple[float, float], strength: float) -> NDArray:
        """Smooth noise with grains of this width and height in units, periodic both ways; deviation `strength`."""
        white = self.rng.standard_normal((self.rows, self.width))
        across = np.fft.rfftfreq(self.width)[None, :] * grain[0] * self.unit
        down = np.fft.fftfreq(self.rows)[:, None] * grain[1] * self.unit
        smooth = np.fft.irfft2(np.fft.rfft2(white) * np.exp(-2 * (across**2 + down**2) * math.pi), s=white.shape)
        return strength * smooth / smooth.std()
