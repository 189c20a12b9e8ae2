// Sends an item, clicks and a request: node produce.mjs [BROKERS [PREFIX]]. Needs kafkajs.

import { Kafka, logLevel } from "kafkajs";

const [brokers = "localhost:9092", prefix = "divrec."] = process.argv.slice(2);
const now = Date.now();
const events = [
  ["items", "sku-2", { item_id: "sku-2", title: "Wool socks", categories: ["socks"], ts: now }],
  // An event_id of your own makes sending again harmless: divrec drops what it knows.
  ["clicks", "ann", { user_id: "ann", item_id: "sku-1", action: "purchase", ts: now, event_id: "o-1" }],
  ["clicks", "ann", { user_id: "ann", item_id: "sku-2", action: "purchase", ts: now, event_id: "o-2" }],
  ["clicks", "bob", { user_id: "bob", item_id: "sku-1", rating: 4.5, ts: now, event_id: "r-3" }],
  // Requests are optional: interactions bring recommendations by themselves.
  ["requests", "bob", { user_id: "bob", k: 5, exclude: ["sku-9"], request_id: `page-${now}` }],
];

const producer = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.ERROR }).producer();
await producer.connect();
for (const [topic, key, event] of events) {
  // Key by user (of items by item): one user's events then stay in order.
  await producer.send({ topic: prefix + topic, messages: [{ key, value: JSON.stringify(event) }] });
}
await producer.disconnect();
