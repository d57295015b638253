"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty."""
