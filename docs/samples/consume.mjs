// Prints recommendations as they come: node consume.mjs [BROKERS [PREFIX]]. Needs kafkajs.

import { Kafka, logLevel } from "kafkajs";

const [brokers = "localhost:9092", prefix = "divrec."] = process.argv.slice(2);
const seen = new Set();

const consumer = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.ERROR }).consumer({ groupId: "my-js-shop" });
await consumer.connect();
await consumer.subscribe({ topic: `${prefix}recommendations`, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    const slate = JSON.parse(message.value); // fields that you do not know: ignore them
    if (seen.has(slate.recommendation_id)) return; // delivery is at least once
    seen.add(slate.recommendation_id);
    if (seen.size > 10_000) seen.delete(seen.values().next().value);
    const items = slate.items.map((item) => item.item_id);
    console.log(slate.user_id, slate.trigger.request_id ?? "-", ...items);
  },
});
