"""Talk to fal over HTTP: submit, read, cancel, upload, download.

Only this folder imports fal's client. It does not know the job table, runs or clips on disk, and it
never repeats a submission.
"""

from tweenbatch.fal.client import START_TIMEOUT, Fal
from tweenbatch.fal.download import DOWNLOADS_AT_ONCE, Download
from tweenbatch.fal.pricing import ListedPrice
from tweenbatch.fal.transport import Deadlines
from tweenbatch.fal.validation import request_of, video_of

__all__ = [
    "DOWNLOADS_AT_ONCE",
    "START_TIMEOUT",
    "Deadlines",
    "Download",
    "Fal",
    "ListedPrice",
    "request_of",
    "video_of",
]
