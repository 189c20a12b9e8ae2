"""Which text every item has, and of which text its vector was made: what ``catalog`` and ``item-vectors`` say."""

from divrec.events import ItemVector, ModelReady, pack_vector
from divrec.items import hash64
from divrec.staging import Markers
from divrec.text.content import item_text
from streams.codec import OF_TEXT, Header, Message, Record, decode_item, decode_vector_record, encode
from streams.encoding.backlog import Vector


def text_hash(text: str) -> bytes:
    return f"{hash64(text):016x}".encode()


def vector_record(topic: str, model: str, item_id: str, text: str | None, vector: Vector | None) -> Record:
    """The record of ``item-vectors`` for an item; without a vector one that deletes.

    Its header ``divrec-text`` says of which text the vector was made.
    """
    key = f"{model}|{item_id}".encode()
    if vector is None or text is None:
        return Record(topic, None, key, None)
    value = encode(ItemVector(item_id=item_id, model=model, vector=pack_vector(vector)))
    headers: list[Header] = [(OF_TEXT, text_hash(text))]
    return Record(topic, None, key, value, headers)


def text_of(message: Message) -> tuple[str, str | None]:
    """The item of a ``catalog`` record and its text, None if it has none or is withdrawn. Raises ValueError."""
    if message.value is None:
        return (message.key or b"").decode(), None
    item = decode_item(message.value)
    return item.item_id, (item_text(item) or None) if item.available else None


class Ledger:
    """Two short hashes per item, for the text model ``model``; and the keys of what is there of other models."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.markers = Markers()
        self.texts: dict[str, bytes | None] = {}
        """Hash of the text by item id, None where there is none."""
        self.made_of: dict[str, bytes | None] = {}
        """Hash of the vector's text by item id. None: it does not say, and is taken for right."""
        self.others: set[tuple[int, bytes]] = set()
        """Partition and key of each record of another model."""

    def take_item(self, message: Message) -> None:
        """Note a record of ``catalog``. Raises ValueError if it is none."""
        item_id, text = text_of(message)
        self.texts[item_id] = None if text is None else text_hash(text)

    def take_vector(self, message: Message) -> None:
        """Note a record of ``item-vectors``. Raises ValueError if it is none."""
        key, value = message.key or b"", message.value
        model, _, item_id = key.decode().partition("|")
        if not item_id and value is not None:
            marker = decode_vector_record(value)
            if isinstance(marker, ModelReady):
                self.markers.put(message.partition, marker)
        elif not item_id:
            self.markers.drop(message.partition, model)
        if model != self.model:
            (self.others.discard if value is None else self.others.add)((message.partition, key))
        elif item_id and value is not None:
            self.made_of[item_id] = message.header(OF_TEXT)
        elif item_id:
            self.made_of.pop(item_id, None)

    def lacks(self, item_id: str) -> bool:
        """Whether an item's vector is missing, left over, or made of another text than the item has."""
        text = self.texts.get(item_id)
        if item_id not in self.made_of:
            return text is not None
        return text is None or self.made_of[item_id] not in (None, text)
