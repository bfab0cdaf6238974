"""Manifests: files of rows that people wrote become checked rows, or every problem at once.

``formats`` makes a ``Sheet`` of any file; ``columns`` says what the header means; ``rows``
checks row by row. This room knows files and columns; it knows nothing of the table, of fal or of
money beyond the price that the endpoint names. Reading never changes anything.
"""

from tweenbatch.manifest.clip_names import Naming
from tweenbatch.manifest.formats.source import SUFFIXES
from tweenbatch.manifest.reading import Reading, from_dataframe, read, read_all
from tweenbatch.manifest.rows import MAX_TAKES

__all__ = ["MAX_TAKES", "SUFFIXES", "Naming", "Reading", "from_dataframe", "read", "read_all"]
