"""The parts of the encode worker."""
