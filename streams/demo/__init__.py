"""``divrec demo``: a local stack, the bundled log sent through it, and an application that measures what it gets."""
