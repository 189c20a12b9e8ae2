"""From a profile to candidates, one signal per source."""
