"""Training: configurations and recipes, the loop, resuming, checkpoints, the book's networks."""
