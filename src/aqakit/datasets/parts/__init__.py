"""Code shared by data sets: loading, reading released files and CSV sheets, splits, partial labels, health checks."""
