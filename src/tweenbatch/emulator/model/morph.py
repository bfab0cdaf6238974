"""Compute the pictures between two pictures, and the slow zoom into one.

Moved content is moved; unchanged content stays sharp. Content without a counterpart dissolves patch
by patch, each patch quickly, while the overall tone changes evenly: unlike in a cross-fade, nothing
is visible twice for long, and the brightness never jumps. It does not know files or video.
"""

import functools
from dataclasses import dataclass
from typing import Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from tweenbatch.emulator.model.alignment import (
    LOW_RES,
    Alignment,
    Field,
    Plane,
    Similarity,
    align,
    grid,
    low_size,
    resize,
    sample,
    smooth,
)

Frame: TypeAlias = npt.NDArray[np.uint8]  # 4:2:0: luma, and below it both chroma planes

TONE = 0.05  # detail smoother than this share of the width is tone and changes with the whole
PATCH = 1 / 14  # width of the patches that dissolve at their own time, as a share of the width
PATCH_SEED = 7  # any number: the pattern must only be the same in every run
HASTE = 0.4  # a patch without counterpart dissolves in this share of the time
KNOWN = 0.8  # agreement from which a point dissolves slowly: same content, or plain areas
STRANGE = 0.3  # agreement below which a point has no counterpart
NEARBY = 0.12  # how far a change of tone is extended past a border, as a share of the width
OVERHANG = 12.0  # pixels beyond a picture's border over which its mirror image fades out
TRACE = 1e-3  # least weight of a picture, invisible; it counts where no other picture reaches
FAINT = 1e-6  # weight of a picture where it does not reach: a mirror image is better than a hole

PUSH = 1.08  # zoom at the end of a push-in: a visible move, and still sharp


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture in 4:2:0 format: luma, and two chroma channels at half the size."""

    luma: Plane
    chroma: Plane

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Split a frame into its channels."""
        height, width = frame.shape[0] * 2 // 3, frame.shape[1]
        chroma = frame[height:].reshape(2, height // 2, width // 2)
        return cls(
            luma=frame[:height].astype(np.float32),
            chroma=np.ascontiguousarray(np.moveaxis(chroma, 0, -1), dtype=np.float32),
        )

    def frame(self) -> Frame:
        """Join the channels to a frame."""
        height, width = self.luma.shape
        chroma = np.moveaxis(self.chroma, -1, 0).reshape(height // 2, width)
        return np.asarray(cv2.convertScaleAbs(np.concatenate((self.luma, chroma))), dtype=np.uint8)

    def low(self) -> Plane:
        """Return all three channels at the low resolution."""
        size = low_size(self.luma.shape)
        return np.dstack((resize(self.luma, size), resize(self.chroma, size)))

    def seen_at(self, camera: Similarity, flow: Field | None = None) -> Self:
        """Return the picture as seen after a move, mirrored beyond its border.

        The camera's move is exact everywhere; a low-resolution flow is enlarged and added.
        """
        full, half = self.luma.shape, self.chroma.shape
        points = moved(camera, grid(full), flow)
        # The chroma's pixels lie in the middle of four of the luma's.
        halved = moved(camera, coarse_grid(half[:2], full), flow) * np.float32(0.5)
        return type(self)(
            luma=sample(self.luma, points, method=cv2.INTER_CUBIC),
            chroma=sample(self.chroma, halved - np.float32(0.25)),
        )

    def mixed(self, other: Self, share: Plane, tone: Plane) -> Self:
        """Return a share of another picture over this one, and a low-resolution tone added."""
        full, half = self.luma.shape, self.chroma.shape
        return type(self)(
            luma=blend(self.luma, other.luma, resize(share, full))
            + resize(np.ascontiguousarray(tone[..., 0]), full),
            chroma=blend(self.chroma, other.chroma, resize(share, half))
            + resize(np.ascontiguousarray(tone[..., 1:]), half),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Morph:
    """A planned transition between two pictures of one size; ``at`` draws it."""

    start: Picture
    end: Picture
    alignment: Alignment
    flows: Plane  # low resolution: forward and backward, side by side
    tone_start: Plane  # low resolution
    tone_end: Plane  # low resolution
    delay: Plane  # low resolution: when a place begins to dissolve ...
    span: Plane  # ... and what share of the time its dissolve takes

    @classmethod
    def plan(cls, start: Frame, end: Frame) -> Self:
        """Align the pictures and decide when each point changes."""
        first, last = Picture.of(start), Picture.of(end)
        alignment = align(first.luma, last.luma)
        low = alignment.agreement.shape
        known = smoothstep((alignment.agreement - STRANGE) / (KNOWN - STRANGE))
        span = HASTE + (1 - HASTE) * smooth(known, PATCH / 2)
        return cls(
            start=first,
            end=last,
            alignment=alignment,
            flows=np.dstack((alignment.forward, alignment.backward)),
            tone_start=smooth(first.low(), TONE),
            tone_end=smooth(last.low(), TONE),
            delay=patches(low) * (1 - span),
            span=span,
        )

    def at(self, progress: float) -> Frame:
        """Return the frame at a progress of 0..1: at both ends the given frame itself."""
        if progress <= 0:
            return self.start.frame()
        if progress >= 1:
            return self.end.frame()
        camera, shape = self.alignment.camera, self.start.luma.shape
        home, onward = camera.part(progress).inverse(), camera.part(1 - progress)
        # Low resolution: the flows as seen from this moment, the weights, the tone.
        points = coarse_grid(self.span.shape, shape)
        places = home.move(points)
        to_start, to_end = self._flows(progress, places)
        from_start, from_end = places + to_start, camera.move(places + to_end)
        weight, tone = self._weight(progress, from_start, from_end)
        seen_first = self.start.seen_at(home, to_start)
        seen_last = self.end.seen_at(onward, from_end - onward.move(points))
        return seen_first.mixed(seen_last, weight, tone).frame()

    def _flows(self, progress: float, places: Field) -> tuple[Field, Field]:
        """Return the flows from this moment to both ends; each is zero at its own end.

        The combination is equation 4 of Super SloMo (Jiang et al., 2018).
        """
        both = look_low(self.flows, places, self.start.luma.shape)
        ahead, behind = both[..., :2], both[..., 2:]
        rest = 1 - progress
        to_start = progress * progress * behind - progress * rest * ahead
        to_end = rest * rest * ahead - progress * rest * behind
        return to_start, to_end

    def _weight(self, progress: float, from_start: Field, from_end: Field) -> tuple[Plane, Plane]:
        """Return the weight of the end picture at each point, and the tone that evens it out.

        Where only one picture reaches, it is visible, and its tone changes as it does nearby.
        """
        shape = self.start.luma.shape
        turned = smoothstep((progress - self.delay) / self.span)
        reach_first, reach_last = reach(from_start, shape), reach(from_end, shape)
        first, last = (1 - turned + TRACE) * reach_first, (turned + TRACE) * reach_last
        weight = np.asarray(last / (first + last), dtype=np.float32)
        change = look_low(self.tone_end, from_end, shape) - look_low(
            self.tone_start, from_start, shape
        )
        both = reach_first * reach_last
        mask = both[..., None]
        turn = change * mask + beyond(change, both) * (1 - mask)
        even = turn * (progress - weight)[..., None]
        return weight, np.asarray(even, dtype=np.float32)


def push_in(picture: Picture, progress: float) -> Frame:
    """Return a frame at a progress of 0..1 of a slow zoom into a picture's middle."""
    if progress <= 0:
        return picture.frame()
    height, width = picture.luma.shape
    zoom = PUSH**progress  # equal steps look equal when they are factors
    middle = complex(width - 1, height - 1) / 2
    view = Similarity(turn=complex(1 / zoom), shift=middle * (1 - 1 / zoom))
    return picture.seen_at(view).frame()


def ease(time: float) -> float:
    """Return the progress at a time of 0..1: slow at both ends."""
    return time * time * (3 - 2 * time)


def smoothstep(values: Plane) -> Plane:
    """Return 0 below 0, 1 above 1, and a smooth transition between."""
    held = np.clip(values, 0, 1)
    return np.asarray(held * held * (3 - 2 * held), dtype=np.float32)


def patches(shape: tuple[int, ...]) -> Plane:
    """Return a cloudy pattern in which every value of 0..1 is equally frequent."""
    noise = np.random.default_rng(PATCH_SEED).standard_normal(shape, dtype=np.float32)
    clouds = smooth(noise, PATCH / 2)
    ranks = np.empty(clouds.size, dtype=np.float32)
    ranks[np.argsort(clouds, axis=None, kind="stable")] = np.linspace(0, 1, clouds.size)
    return ranks.reshape(shape)


def reach(points: Field, shape: tuple[int, ...]) -> Plane:
    """Return 1 where points lie inside a picture, fading to almost nothing outside."""
    height, width = shape[:2]
    beside = np.abs(points[..., 0] - (width - 1) / 2) - (width - 1) / 2
    beyond = np.abs(points[..., 1] - (height - 1) / 2) - (height - 1) / 2
    outside = np.maximum(beside, beyond)
    return np.maximum(1 - smoothstep(outside / OVERHANG), FAINT)


def beyond(change: Plane, both: Plane) -> Plane:
    """Return a change, extended from the area of both pictures into its surroundings."""
    size = (max(1, both.shape[0] // LOW_RES), max(1, both.shape[1] // LOW_RES))
    near = smooth(resize(both, size), NEARBY)[..., None] + FAINT
    return resize(smooth(resize(change * both[..., None], size), NEARBY) / near, both.shape)


def moved(camera: Similarity, points: Field, flow: Field | None) -> Field:
    """Return the points after a camera's move and a flow of lower resolution."""
    places = camera.move(points)
    if flow is not None:
        places += resize(flow, points.shape)
    return places


@functools.lru_cache(maxsize=8)
def coarse_grid(coarse: tuple[int, ...], full: tuple[int, ...]) -> Field:
    """Return the positions of a smaller picture's pixels in full-size pixels."""
    step = np.array((full[1] / coarse[1], full[0] / coarse[0]), dtype=np.float32)
    points = (grid(coarse) + np.float32(0.5)) * step - np.float32(0.5)
    points.flags.writeable = False  # shared by all callers
    return points


def look_low(plane: Plane, points: Field, full: tuple[int, ...]) -> Plane:
    """Return a low-resolution plane seen at points given in full-size pixels."""
    step = np.array((full[1] / plane.shape[1], full[0] / plane.shape[0]), dtype=np.float32)
    places = np.asarray((points + np.float32(0.5)) / step - np.float32(0.5), dtype=np.float32)
    return sample(plane, places, border=cv2.BORDER_REPLICATE)


def blend(first: Plane, last: Plane, share: Plane) -> Plane:
    """Return two planes mixed, with a share of the last that differs from place to place."""
    return np.asarray(cv2.blendLinear(first, last, 1 - share, share), dtype=np.float32)
