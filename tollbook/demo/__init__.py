"""A made-up fleet at any scale, and the truth it was made from."""

from tollbook.demo.generator import SCALES, START, Scale, generate

__all__ = ["SCALES", "START", "Scale", "generate"]
