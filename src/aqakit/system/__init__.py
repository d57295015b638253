"""Files, progress bars, processes and reading ahead: what every room needs and knows nothing of scores.

May import the files at the root.
"""
