// Sends an item, clicks and a request: java -cp 'libs/*' Produce.java [BROKERS [PREFIX]]. Needs kafka-clients.

import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Produce {
    public static void main(String[] args) throws Exception {
        var prefix = args.length > 1 ? args[1] : "divrec.";
        var settings = new Properties();
        settings.put("bootstrap.servers", args.length > 0 ? args[0] : "localhost:9092");
        var now = System.currentTimeMillis();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            // An event_id of your own makes sending again harmless: divrec drops what it knows.
            for (var event : new String[][] {
                {"items", "sku-2", "{'item_id': 'sku-2', 'title': 'Wool socks', 'categories': ['socks'], 'ts': %d}"},
                {"clicks", "ann", "{'user_id': 'ann', 'item_id': 'sku-1', 'action': 'purchase', 'ts': %d, 'event_id': 'o-1'}"},
                {"clicks", "ann", "{'user_id': 'ann', 'item_id': 'sku-2', 'action': 'purchase', 'ts': %d, 'event_id': 'o-2'}"},
                {"clicks", "bob", "{'user_id': 'bob', 'item_id': 'sku-1', 'rating': 4.5, 'ts': %d, 'event_id': 'r-3'}"},
                // Requests are optional: interactions bring recommendations by themselves.
                {"requests", "bob", "{'user_id': 'bob', 'k': 5, 'exclude': ['sku-9'], 'request_id': 'page-%d'}"},
            }) {
                var value = event[2].formatted(now).replace('\'', '"');
                // Key by user (of items by item): one user's events then stay in order.
                producer.send(new ProducerRecord<>(prefix + event[0], event[1], value)).get();
            }
        }
    }
}
