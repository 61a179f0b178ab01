"""What stands for an image."""

NO_IMAGE_NOTE = "(An image came with this message; you cannot see it.)"
"""Where the model takes none."""
