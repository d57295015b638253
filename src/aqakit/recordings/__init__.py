"""A path comes in, frames or a row of numbers for each moment go out.

May import ``scores``, ``metrics`` and ``system``.
"""
