"""What data sets share: loading, reading of released files and sheets, splits, few labels, health."""
