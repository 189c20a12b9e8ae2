"""Sends an item, clicks and a request: ``python produce.py [BROKERS [PREFIX]]``. Needs aiokafka."""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaProducer

BROKERS, PREFIX = (sys.argv[1:] + ["localhost:9092", "divrec."][len(sys.argv) - 1 :])[:2]


async def main() -> None:
    now = int(time.time() * 1000)
    events = [
        ("items", "sku-2", {"item_id": "sku-2", "title": "Wool socks", "categories": ["socks"], "ts": now}),
        # An event_id of your own makes sending again harmless: divrec drops what it knows.
        ("clicks", "ann", {"user_id": "ann", "item_id": "sku-1", "action": "purchase", "ts": now, "event_id": "o-1"}),
        ("clicks", "ann", {"user_id": "ann", "item_id": "sku-2", "action": "purchase", "ts": now, "event_id": "o-2"}),
        ("clicks", "bob", {"user_id": "bob", "item_id": "sku-1", "rating": 4.5, "ts": now, "event_id": "r-3"}),
        # Requests are optional: interactions bring recommendations by themselves.
        ("requests", "bob", {"user_id": "bob", "k": 5, "exclude": ["sku-9"], "request_id": f"page-{now}"}),
    ]
    async with AIOKafkaProducer(bootstrap_servers=BROKERS, acks="all") as producer:
        for topic, key, event in events:
            # Key by user (of items by item): one user's events then stay in order.
            await producer.send_and_wait(PREFIX + topic, json.dumps(event).encode(), key=key.encode())


asyncio.run(main())
