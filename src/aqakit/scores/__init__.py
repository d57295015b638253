"""Score distributions, scoring rules of the sports, and recalibration.

May import ``system``.
"""
