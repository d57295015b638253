"""What the formats of skeletons share."""
