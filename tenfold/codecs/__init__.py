"""Text codes of masks that several competitions share; NumPy alone."""
