"""Watching files: what the kernel says of directories, what is known of the files in them, and who did it."""
