"""One image: its format, size and checks, and what was seen of it before. Knows no rows."""
