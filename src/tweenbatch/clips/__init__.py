"""Check clips on disk: completeness, pictures, length and size. It does not know jobs or fal."""
