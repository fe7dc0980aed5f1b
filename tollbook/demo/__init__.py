"""A made-up fleet at any scale, and the truth it was made from."""

from tollbook.demo.generator import SCALES, Scale, generate

__all__ = ["SCALES", "Scale", "generate"]
