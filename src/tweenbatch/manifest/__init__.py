"""Read manifests and check their rows; report all problems at once.

It does not know the job table or fal, and of money only the endpoint's price.
"""

from tweenbatch.manifest.clip_names import Naming
from tweenbatch.manifest.formats.source import SUFFIXES
from tweenbatch.manifest.reading import Reading, from_dataframe, read, read_all
from tweenbatch.manifest.rows import MAX_TAKES

__all__ = ["MAX_TAKES", "SUFFIXES", "Naming", "Reading", "from_dataframe", "read", "read_all"]
