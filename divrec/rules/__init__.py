"""What may be in a slate, and when one is published."""
