"""Networks that others trained, and images to test them on: witnesses for what ours show."""
