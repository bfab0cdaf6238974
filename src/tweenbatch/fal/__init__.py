"""fal: the only room that talks to the service, and the only importer of its client.

It knows HTTP, hosts, keys and fal's forms; nothing of tables, runs or retries.
"""

from tweenbatch.fal.client import START_TIMEOUT, Fal, request_of, video_of
from tweenbatch.fal.download import DOWNLOADS_AT_ONCE, Download
from tweenbatch.fal.pricing import ListedPrice
from tweenbatch.fal.transport import Deadlines

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
