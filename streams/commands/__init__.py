"""The commands of ``divrec``, one file each. Nothing heavy is imported before a command runs."""
