"""A clip on disk: whether it is whole and what it shows. Knows no jobs and no network."""
