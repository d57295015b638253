"""General utilities that know nothing of scores: files, options, progress bars, processes and prefetching.

May import the modules at the root of the package.
"""
