"""What must outlive rotation: who the Workers are, how far each has come, and what of each was rotated out."""
