"""Prints recommendations as they come: ``python consume.py [BROKERS [PREFIX]]``. Needs aiokafka."""

import asyncio
import json
import sys
from collections import deque

from aiokafka import AIOKafkaConsumer

BROKERS, PREFIX = (sys.argv[1:] + ["localhost:9092", "divrec."][len(sys.argv) - 1 :])[:2]


async def main() -> None:
    seen: deque[str] = deque(maxlen=10_000)
    async with AIOKafkaConsumer(
        PREFIX + "recommendations", bootstrap_servers=BROKERS, group_id="my-shop", auto_offset_reset="earliest"
    ) as consumer:
        async for message in consumer:
            slate = json.loads(message.value)  # fields that you do not know: ignore them
            if slate["recommendation_id"] in seen:
                continue  # delivery is at least once
            seen.append(slate["recommendation_id"])
            items = [item["item_id"] for item in slate["items"]]
            print(slate["user_id"], slate["trigger"].get("request_id", "-"), *items, flush=True)


asyncio.run(main())
