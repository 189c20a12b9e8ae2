"""What stands outside of the workers, as an application does: asking, dumping, replaying, words for people."""
