"""Files of joints: one file of this folder is one format, recognised by its content."""
