"""Marks and answers come in, scores and calibrated answers go out: distributions, the sports' rules, recalibration.

May import ``system``.
"""
