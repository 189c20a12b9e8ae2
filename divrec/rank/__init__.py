"""From signals to relevance."""
