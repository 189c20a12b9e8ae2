// Prints recommendations as they come: java -cp 'libs/*' Consume.java [BROKERS [PREFIX]].
// Needs kafka-clients and jackson-databind.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Consume {
    public static void main(String[] args) throws Exception {
        var settings = new Properties();
        settings.put("bootstrap.servers", args.length > 0 ? args[0] : "localhost:9092");
        settings.put("group.id", "my-java-shop");
        settings.put("auto.offset.reset", "earliest");
        Set<String> seen = Collections.newSetFromMap(new LinkedHashMap<>() {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > 10_000;
            }
        });
        var json = new ObjectMapper();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of((args.length > 1 ? args[1] : "divrec.") + "recommendations"));
            while (true) {
                for (var message : consumer.poll(Duration.ofSeconds(1))) {
                    var slate = json.readTree(message.value()); // fields that you do not know: ignore them
                    if (!seen.add(slate.get("recommendation_id").asText())) {
                        continue; // delivery is at least once
                    }
                    var line = new StringBuilder(slate.get("user_id").asText());
                    line.append(' ').append(slate.get("trigger").path("request_id").asText("-"));
                    for (var item : slate.get("items")) {
                        line.append(' ').append(item.get("item_id").asText());
                    }
                    System.out.println(line);
                }
            }
        }
    }
}
