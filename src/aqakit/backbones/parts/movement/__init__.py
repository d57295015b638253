"""What the backbone ``movement`` measures: a posture in body coordinates, its channels, and numbers of them."""
