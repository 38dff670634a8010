/* Prints each committed message of a topic as "PARTITION JAVA'S-PARTITION KEY VALUE", up to its end. */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.TopicPartition;

class Look {
    public static void main(String[] arguments) {
        Properties properties = new Properties();
        StringBuilder out = new StringBuilder();

        properties.put("bootstrap.servers", arguments[0]);
        properties.put("isolation.level", "read_committed");
        properties.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        properties.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties)) {
            List<TopicPartition> partitions = consumer.partitionsFor(arguments[1]).stream()
                .map(p -> new TopicPartition(p.topic(), p.partition())).collect(Collectors.toList());

            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p)))
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
                    out.append(record.partition()).append(' ')
                        .append(BuiltInPartitioner.partitionForKey(
                            record.key().getBytes(StandardCharsets.UTF_8), partitions.size()))
                        .append(' ').append(record.key()).append(' ').append(record.value()).append('\n');
        }
        System.out.print(out);
    }
}
