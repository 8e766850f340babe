"""Raw competition imagery in, a checked submission out."""

__version__ = "0.1.0"
