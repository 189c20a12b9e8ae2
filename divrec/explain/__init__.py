"""Why an item is in a slate."""
