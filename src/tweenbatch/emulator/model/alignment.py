"""Align two pictures: find a similarity for the camera move, and a flow for the rest.

Each is used only where it makes the pictures agree better than no move: a flow between unrelated
content always finds *some* match, and such a match distorts faces and branches. It does not know
time or video.
"""

import functools
import math
from dataclasses import dataclass
from typing import Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float32]  # (height, width), or that with several channels
Field: TypeAlias = npt.NDArray[np.float32]  # (height, width, 2): x and y, in full-size pixels

HALF = 2  # alignment uses pictures of half the width and height
LOW_RES = 4  # flows, weights and tones are smooth: kept and mixed at a quarter of the size

MAX_FEATURES = 1500  # enough to find a camera move; more only cost time
DISTINCT = 0.75  # Lowe's ratio: the best match must beat the second best by this much
RANSAC_PIXELS = 2.0
MIN_INLIERS = 12  # two matches define a similarity; a dozen do not agree by chance
MAX_ZOOM = 2.5  # beyond it one picture covers too little of the other
MAX_TURN = 0.8  # radians
MIN_GAIN = 0.02  # what a similarity must add to the mean agreement

# Candidate flows: the width of their smoothing, as a share of the picture's width, and what each
# must add to the local agreement to be taken. The more a flow can bend, the more it must prove.
CANDIDATES = ((0.05, 0.03), (0.015, 0.06), (0.005, 0.12))
DECISIVENESS = 0.03  # difference in agreement that gives the better candidate e times the weight
SEAM = 0.012  # width of the passage between regions with different candidates
PLAUSIBLE = 0.6  # agreement below which a flow has matched other content
DOUBT = 2.0  # penalty for each point of agreement below that
HONEST = 0.6  # share of nearby points whose flow must lead back; each missing point costs one
HEARING = 0.03  # radius of "nearby", as a share of the width
DISBELIEF = 1.5  # half-size pixels between forward and backward flow at which a flow counts half

WINDOW = 0.012  # window of the agreement: standard deviation, as a share of the width
NOISE = 5.0  # contrast (standard deviation, of 255) below which structure does not count
TONE = 0.03  # detail smoother than this share of the width is tone, not structure
CONTRAST = 40.0  # contrast of the tone-free picture that the flow is computed on
MID_GREY = 128.0
STILL = 1e-9  # a turn nearer to 1 than this has no fixed point to turn around


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """``z -> turn * z + shift``, points as complex numbers: zoom and rotation are one factor."""

    turn: complex = 1 + 0j
    shift: complex = 0j

    def part(self, share: float) -> Self:
        """Return a share of the move: ``part(a)``, then ``part(b)``, equals ``part(a + b)``."""
        turn = self.turn**share
        if abs(self.turn - 1) < STILL:
            return type(self)(turn=turn, shift=self.shift * share)
        return type(self)(turn=turn, shift=self.shift * (1 - turn) / (1 - self.turn))

    def inverse(self) -> Self:
        """Return the inverse move."""
        return type(self)(turn=1 / self.turn, shift=-self.shift / self.turn)

    def enlarged(self, factor: float) -> Self:
        """Return the same move for pictures enlarged by ``factor``, from pixel centres."""
        corner = (1 + 1j) * (factor - 1) / 2
        return type(self)(turn=self.turn, shift=factor * self.shift + corner * (1 - self.turn))

    def matrix(self) -> npt.NDArray[np.float32]:
        """Return the 2x3 matrix that OpenCV takes."""
        real, imag = self.turn.real, self.turn.imag
        rows = [[real, -imag, self.shift.real], [imag, real, self.shift.imag]]
        return np.array(rows, dtype=np.float32)

    def move(self, points: Field) -> Field:
        """Return the points, each moved."""
        return np.asarray(cv2.transform(points, self.matrix()), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The alignment of two pictures; its fields are on the first picture's low-res grid."""

    camera: Similarity  # from the first picture's points to the second's
    forward: Field  # from a point of the first to the same thing in the second, camera undone
    backward: Field  # from a point of the second, camera undone, to the same thing in the first
    agreement: Plane  # 0..1: how little the structures disagree once laid over each other


def align(first: Plane, second: Plane) -> Alignment:
    """Find the camera move and the remaining flow between the luma of two pictures of one size.

    Works at half the size: a quarter of the work, without a visible difference.
    """
    half = (first.shape[0] // HALF, first.shape[1] // HALF)
    grey_first, grey_second = resize(first, half), resize(second, half)
    camera = find_camera(grey_first, grey_second)
    undone = sample(grey_second, camera.move(grid(grey_first.shape)))
    texture_first, texture_undone = without_tone(grey_first), without_tone(undone)
    there, back = flow(texture_first, texture_undone), flow(texture_undone, texture_first)
    forward = trusted(grey_first, undone, there, back)
    backward = trusted(undone, grey_first, back, there)
    flowed = sample(undone, grid(grey_first.shape) + forward)
    low = low_size(first.shape)
    return Alignment(
        camera=camera.enlarged(HALF),
        forward=resize(forward, low) * HALF,
        backward=resize(backward, low) * HALF,
        agreement=np.clip(resize(agreement(grey_first, flowed), low), 0, 1),
    )


@functools.lru_cache(maxsize=8)
def grid(shape: tuple[int, ...]) -> Field:
    """Return every pixel's own position."""
    height, width = shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    points = np.stack((x, y), axis=-1)
    points.flags.writeable = False  # shared by all callers
    return points


def sample(
    image: Plane,
    points: Field,
    *,
    method: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_REFLECT_101,
) -> Plane:
    """Return an image seen at other points; by default it is mirrored beyond its border."""
    seen = cv2.remap(image, points, None, method, borderMode=border)  # type: ignore[call-overload]  # the stubs forget None
    return np.asarray(seen, dtype=np.float32)


def low_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the height and width of the low resolution."""
    return max(1, shape[0] // LOW_RES), max(1, shape[1] // LOW_RES)


def resize(image: Plane, shape: tuple[int, ...]) -> Plane:
    """Return an image at another height and width."""
    smaller = shape[0] < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(image, (shape[1], shape[0]), interpolation=method)
    return np.asarray(resized, dtype=np.float32)


def smooth(image: Plane, share: float) -> Plane:
    """Return an image blurred by a share of its width."""
    blurred = cv2.GaussianBlur(image, (0, 0), max(0.5, share * image.shape[1]))
    return np.asarray(blurred, dtype=np.float32)


def without_tone(image: Plane) -> npt.NDArray[np.uint8]:
    """Return the structure alone, with the same contrast everywhere: snow and grass look alike."""
    detail = image - smooth(image, TONE)
    contrast = np.sqrt(smooth(detail * detail, TONE)) + NOISE
    return np.clip(detail / contrast * CONTRAST + MID_GREY, 0, 255).astype(np.uint8)


def agreement(first: Plane, second: Plane) -> Plane:
    """Return the local structural similarity, -1..1, blind to brightness and contrast.

    It is the structure term of SSIM; where neither picture has structure they agree.
    """
    mean_first, mean_second = smooth(first, WINDOW), smooth(second, WINDOW)
    one, two = first - mean_first, second - mean_second
    both = smooth(one * two, WINDOW)
    spread = np.sqrt(smooth(one * one, WINDOW) * smooth(two * two, WINDOW))
    return np.asarray((both + NOISE**2) / (spread + NOISE**2), dtype=np.float32)


def find_camera(first: Plane, second: Plane) -> Similarity:
    """Return the similarity that most features agree on, or none if it explains too little."""
    detector = cv2.SIFT.create(nfeatures=MAX_FEATURES)
    keys_first, words_first = detector.detectAndCompute(first.astype(np.uint8), None)
    keys_second, words_second = detector.detectAndCompute(second.astype(np.uint8), None)
    if min(len(keys_first), len(keys_second)) < MIN_INLIERS:
        return Similarity()
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(words_first, words_second, k=2)
    good = [best for best, second_best in pairs if best.distance < DISTINCT * second_best.distance]
    if len(good) < MIN_INLIERS:
        return Similarity()
    points_first = np.array([keys_first[match.queryIdx].pt for match in good], dtype=np.float32)
    points_second = np.array([keys_second[match.trainIdx].pt for match in good], dtype=np.float32)
    cv2.setRNGSeed(0)  # RANSAC draws lots: the same pair must give the same clip
    matrix, inliers = cv2.estimateAffinePartial2D(
        points_first, points_second, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PIXELS
    )
    if matrix is None or int(np.count_nonzero(inliers)) < MIN_INLIERS:
        return Similarity()
    found = Similarity(
        turn=complex(matrix[0, 0], matrix[1, 0]), shift=complex(matrix[0, 2], matrix[1, 2])
    )
    return found if helps(found, first, second) else Similarity()


def helps(camera: Similarity, first: Plane, second: Plane) -> bool:
    """Tell whether a camera move is possible and makes the overlap agree better than no move."""
    zoom, angle = abs(camera.turn), math.atan2(camera.turn.imag, camera.turn.real)
    if not 1 / MAX_ZOOM < zoom < MAX_ZOOM or abs(angle) > MAX_TURN:
        return False
    height, width = first.shape
    points = camera.move(grid(first.shape))
    inside = np.all((points >= 0) & (points <= (width - 1, height - 1)), axis=-1)
    if not inside.any():
        return False
    gain = agreement(first, sample(second, points)) - agreement(first, second)
    return float(gain[inside].mean()) > MIN_GAIN


def flow(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Field:
    """Return the dense optical flow, at full size."""
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*first.shape, 2), dtype=np.float32)
    return np.asarray(engine.calc(first, second, start), dtype=np.float32)


def trusted(first: Plane, second: Plane, there: Field, back: Field) -> Field:
    """Return the flow where it raises the agreement, and zero elsewhere.

    Candidates are the flow at several degrees of smoothing. Smoothing weighs the points whose
    forward and backward flow cancel out, so that an edge moves the plain area beside it.
    """
    here = grid(first.shape)
    returned = np.stack([sample(back[..., axis], here + there) for axis in (0, 1)], axis=-1)
    lost = np.hypot(*np.moveaxis(there + returned, -1, 0))
    word = 1 / (1 + (lost / DISBELIEF) ** 2)
    honesty = smooth(word, HEARING)
    fields = [np.zeros_like(there)]
    scores = [agreement(first, second)]
    for share, price in CANDIDATES:
        believed = smooth(there * word[..., None], share) / smooth(word, share)[..., None]
        agreed = agreement(first, sample(second, here + believed))
        doubt = DOUBT * np.maximum(PLAUSIBLE - agreed, 0) + np.maximum(HONEST - honesty, 0)
        fields.append(believed)
        scores.append(agreed - np.float32(price) - doubt)
    merit = np.stack(scores)
    weights = np.exp((merit - merit.max(axis=0)) / DECISIVENESS)
    weights = np.stack([smooth(weight, SEAM) for weight in weights / weights.sum(axis=0)])
    mixed = (np.stack(fields) * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[..., None]
    return np.asarray(mixed, dtype=np.float32)
