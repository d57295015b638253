"""Readers of recordings: frames of videos, kinematics, skeletons and precomputed features.

May import ``scores``, ``metrics`` and ``system``.
"""
