"""What stands outside of the workers, as an application does: asking, dumping, replaying, dead letters, words."""
