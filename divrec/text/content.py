"""What of an item or a review is encoded."""

from divrec.events import Item, Review
from divrec.text.clean import clean

MAX_CHARACTERS = 2_000


def item_text(item: Item) -> str:
    """Title, categories and description as sentences, at most 2,000 characters; empty if it has none of them.

    >>> item_text(Item(item_id="1", title="Toy Story (1995)", categories=["Animation", "Comedy"]))
    'Toy Story (1995). Animation, Comedy'
    """
    return _sentences(item.title, ", ".join(item.categories), item.description)


def review_text(review: Review) -> str:
    """Title and text, at most 2,000 characters."""
    return _sentences(review.title, review.text)


def _sentences(*parts: str) -> str:
    text = ""
    for part in parts:
        room = MAX_CHARACTERS - len(text) - 2
        sentence = clean(part, room) if room > 0 else ""
        if sentence and text:
            text += (" " if text.endswith((".", "!", "?", "…", "。", "！", "？")) else ". ") + sentence
        else:
            text += sentence
    return text
