"""Make the tiny clip that every request gets when previews are off."""

import tempfile
from fractions import Fraction
from pathlib import Path

import av

SIDE = 64
FRAMES = 12
FPS = 24


def tiny_clip() -> bytes:
    """Return a valid H.264 mp4 of 64x64 with the moov box in front."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "tiny.mp4")  # FFmpeg moves the box by opening the file again
        with av.open(str(target), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width = stream.height = SIDE
            stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, FPS)
            for number in range(FRAMES):
                frame = av.VideoFrame(SIDE, SIDE, "yuv420p")
                for plane, level in zip(frame.planes, (40 + 12 * number, 110, 150), strict=True):
                    plane.update(bytes([level]) * plane.buffer_size)
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return target.read_bytes()
