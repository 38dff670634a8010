// Every operation that the AWS SDK for Java v2 has, once; arguments: endpoint, a prefix for names. Its
// asynchronous client speaks CBOR over HTTP/2: without asking on a plain connection, by ALPN on TLS.

import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.ProtocolNegotiation;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClientBuilder;
import software.amazon.awssdk.services.kinesis.model.*;

public class Operations {
    static final Set<String> called = new TreeSet<>();
    static final Set<String> types = new TreeSet<>(); // of what was sent and answered
    static String name;
    static KinesisAsyncClient client;

    static void check(String what, boolean isGood, Object detail) {
        System.out.println((isGood ? "ok - " : "not ok - ") + name + ": " + what + (isGood ? "" : ": " + detail));
    }

    static <T extends KinesisResponse> T call(
            String operation, Supplier<CompletableFuture<T>> send, Predicate<T> isGood) {
        called.add(operation);
        try {
            T answer = send.get().join();
            KinesisResponseMetadata metadata = answer.responseMetadata();
            check(operation, isGood.test(answer) && !metadata.requestId().isEmpty()
                    && metadata.extendedRequestId().length() >= 64, answer);
            return answer;
        } catch (RuntimeException error) { // an answer the client cannot read, too
            check(operation, false, error);
            return null;
        }
    }

    static <T extends KinesisResponse> T call(String operation, Supplier<CompletableFuture<T>> send) {
        return call(operation, send, answer -> true);
    }

    static void refuses(String operation, String code, Supplier<CompletableFuture<?>> send) {
        called.add(operation);
        try {
            check(operation + " is refused", false, send.get().join());
        } catch (CompletionException error) {
            check(operation + " is refused", error.getCause() instanceof AwsServiceException
                    && ((AwsServiceException) error.getCause()).awsErrorDetails().errorCode().equals(code), error);
        }
    }

    static StreamDescriptionSummary whenActive() {
        while (true) {
            StreamDescriptionSummary summary = client.describeStreamSummary(r -> r.streamName(name))
                    .join().streamDescriptionSummary();
            if (summary.streamStatus() == StreamStatus.ACTIVE)
                return summary;
        }
    }

    static class NoteTypes implements ExecutionInterceptor {
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
            if (!(context.request() instanceof SubscribeToShardRequest)) // the one that it asks in JSON
                context.httpRequest().firstMatchingHeader("Content-Type").ifPresent(types::add);
        }

        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            context.httpResponse().firstMatchingHeader("Content-Type").ifPresent(types::add);
        }
    }

    static KinesisAsyncClientBuilder builder(String endpoint) {
        return KinesisAsyncClient.builder()
                .endpointOverride(URI.create(endpoint)).region(Region.EU_WEST_3)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("x", "x")))
                .overrideConfiguration(o -> o.addExecutionInterceptor(new NoteTypes())
                        .retryStrategy(DefaultRetryStrategy.doNotRetry()));
    }

    /** A record is pushed; then the shard is split, and the subscription says so and ends. */
    static void subscribe(String consumer, SdkBytes everyByte) throws Exception {
        LinkedBlockingQueue<SubscribeToShardEvent> events = new LinkedBlockingQueue<>();
        CompletableFuture<Void> end = client.subscribeToShard(
                r -> r.consumerARN(consumer).shardId("shardId-000000000000")
                        .startingPosition(p -> p.type(ShardIteratorType.LATEST)),
                SubscribeToShardResponseHandler.builder()
                        .subscriber(e -> e.accept(SubscribeToShardResponseHandler.Visitor.builder()
                                .onSubscribeToShardEvent(events::add).build())).build());
        called.add("subscribeToShard");
        SubscribeToShardEvent event = events.poll(20, TimeUnit.SECONDS);
        check("subscribeToShard: an event at once, and where to go on",
                event != null && event.records().isEmpty() && event.continuationSequenceNumber() != null, event);
        String number = client.putRecord(r -> r.streamName(name).partitionKey("123").data(everyByte))
                .join().sequenceNumber();
        do {
            event = events.poll(20, TimeUnit.SECONDS);
        } while (event != null && event.records().isEmpty());
        check("subscribeToShard: a record put is pushed",
                event != null && event.records().get(0).data().equals(everyByte)
                        && event.records().get(0).sequenceNumber().equals(number)
                        && event.continuationSequenceNumber().compareTo(number) >= 0, event);
        call("splitShard", () -> client.splitShard(r -> r.streamName(name).shardToSplit("shardId-000000000000")
                .newStartingHashKey("85070591730234615865843651857942052864")));
        end.get(20, TimeUnit.SECONDS);
        List<SubscribeToShardEvent> rest = new ArrayList<>();
        events.drainTo(rest);
        event = rest.isEmpty() ? null : rest.get(rest.size() - 1);
        check("subscribeToShard: the end of a shard names its children, and no number",
                event != null && event.continuationSequenceNumber() == null && event.childShards().size() == 2
                        && event.childShards().stream().allMatch(
                                c -> c.parentShards().equals(List.of("shardId-000000000000"))), event);
    }

    @SuppressWarnings("unchecked")
    static void records(SdkBytes everyByte) {
        call("putRecord", () -> client.putRecord(r -> r.streamName(name).partitionKey("123").data(everyByte)),
                a -> a.shardId().equals("shardId-000000000000"));
        call("putRecords", () -> client.putRecords(r -> r.streamName(name).records(
                e -> e.partitionKey("123").data(SdkBytes.fromByteArray(new byte[0])),
                e -> e.partitionKey("\u20ac".repeat(256)).data(SdkBytes.fromUtf8String("x")))),
                a -> a.failedRecordCount() == 0);
        String iterator = call("getShardIterator", () -> client.getShardIterator(r -> r.streamName(name)
                .shardId("shardId-000000000000").shardIteratorType(ShardIteratorType.TRIM_HORIZON)))
                .shardIterator();
        call("getRecords", () -> client.getRecords(r -> r.shardIterator(iterator)),
                a -> a.records().get(0).data().equals(everyByte)
                        && a.records().get(1).data().asByteArray().length == 0
                        && Math.abs(a.records().get(0).approximateArrivalTimestamp().toEpochMilli()
                                - System.currentTimeMillis()) < 60_000
                        && a.nextShardIterator() != null && !a.hasChildShards());
    }

    static void consumers(String arn, SdkBytes everyByte) throws Exception {
        String consumer = call("registerStreamConsumer",
                () -> client.registerStreamConsumer(r -> r.streamARN(arn).consumerName("c")),
                a -> a.consumer().consumerStatus() == ConsumerStatus.CREATING).consumer().consumerARN();
        while (client.describeStreamConsumer(r -> r.consumerARN(consumer)).join().consumerDescription()
                .consumerStatus() != ConsumerStatus.ACTIVE)
            ;
        call("describeStreamConsumer",
                () -> client.describeStreamConsumer(r -> r.streamARN(arn).consumerName("c")));
        call("listStreamConsumers", () -> client.listStreamConsumers(r -> r.streamARN(arn)),
                a -> a.consumers().size() == 1);
        subscribe(consumer, everyByte);
        call("deregisterStreamConsumer", () -> client.deregisterStreamConsumer(r -> r.consumerARN(consumer)));
    }

    static void tags(String arn) {
        String policy = "{\"Version\":\"2012-10-17\",\"Statement\":[]}";

        call("addTagsToStream",
                () -> client.addTagsToStream(r -> r.streamName(name).tags(Map.of("team", "red"))));
        call("listTagsForStream", () -> client.listTagsForStream(r -> r.streamName(name)),
                a -> a.tags().get(0).value().equals("red"));
        call("removeTagsFromStream", () -> client.removeTagsFromStream(r -> r.streamName(name).tagKeys("team")));
        call("tagResource",
                () -> client.tagResource(r -> r.resourceARN(arn).tags(Map.of("team", "blue"))));
        call("listTagsForResource", () -> client.listTagsForResource(r -> r.resourceARN(arn)),
                a -> a.tags().get(0).value().equals("blue"));
        call("untagResource", () -> client.untagResource(r -> r.resourceARN(arn).tagKeys("team")));
        call("putResourcePolicy", () -> client.putResourcePolicy(r -> r.resourceARN(arn).policy(policy)));
        call("getResourcePolicy", () -> client.getResourcePolicy(r -> r.resourceARN(arn)),
                a -> a.policy().equals(policy));
        call("deleteResourcePolicy", () -> client.deleteResourcePolicy(r -> r.resourceARN(arn)));
    }

    static void changes(String arn) {
        whenActive();
        call("increaseStreamRetentionPeriod",
                () -> client.increaseStreamRetentionPeriod(r -> r.streamName(name).retentionPeriodHours(48)));
        whenActive();
        call("decreaseStreamRetentionPeriod",
                () -> client.decreaseStreamRetentionPeriod(r -> r.streamName(name).retentionPeriodHours(24)));
        whenActive();
        call("enableEnhancedMonitoring", () -> client.enableEnhancedMonitoring(
                r -> r.streamName(name).shardLevelMetrics(MetricsName.INCOMING_BYTES)),
                a -> a.desiredShardLevelMetrics().equals(List.of(MetricsName.INCOMING_BYTES)));
        whenActive();
        call("disableEnhancedMonitoring", () -> client.disableEnhancedMonitoring(
                r -> r.streamName(name).shardLevelMetrics(MetricsName.ALL)));
        whenActive();
        call("startStreamEncryption", () -> client.startStreamEncryption(
                r -> r.streamName(name).encryptionType(EncryptionType.KMS).keyId("alias/aws/kinesis")));
        whenActive();
        call("stopStreamEncryption", () -> client.stopStreamEncryption(
                r -> r.streamName(name).encryptionType(EncryptionType.KMS).keyId("alias/aws/kinesis")));
        whenActive();
        call("mergeShards", () -> client.mergeShards(r -> r.streamName(name)
                .shardToMerge("shardId-000000000002").adjacentShardToMerge("shardId-000000000003")));
        whenActive();
        call("updateShardCount", () -> client.updateShardCount(
                r -> r.streamName(name).targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING)),
                a -> a.targetShardCount() == 4);
        whenActive();
        call("updateMaxRecordSize",
                () -> client.updateMaxRecordSize(r -> r.streamARN(arn).maxRecordSizeInKiB(2048)));
        whenActive();
        call("updateStreamMode", () -> client.updateStreamMode(
                r -> r.streamARN(arn).streamModeDetails(d -> d.streamMode(StreamMode.ON_DEMAND))));
        whenActive();
    }

    static void nothingLeftOut() {
        Set<String> all = Arrays.stream(KinesisAsyncClient.class.getMethods())
                .filter(m -> m.getReturnType() == CompletableFuture.class)
                .map(m -> m.getName()).filter(n -> !n.matches(".*(Channel|Queue).*"))
                .collect(Collectors.toCollection(TreeSet::new));

        check("no operation is left out", called.equals(all) && all.size() > 30, all + " but " + called);
    }

    public static void main(String[] arguments) throws Exception {
        String endpoint = arguments[0];
        boolean isTls = endpoint.startsWith("https");
        byte[] bytes = new byte[256];

        IntStream.range(0, bytes.length).forEach(i -> bytes[i] = (byte) i);
        SdkBytes everyByte = SdkBytes.fromByteArray(bytes);
        name = arguments[1];
        client = builder(endpoint).httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2)
                .protocolNegotiation(isTls ? ProtocolNegotiation.ALPN : ProtocolNegotiation.ASSUME_PROTOCOL))
                .build();
        call("createStream", () -> client.createStream(r -> r.streamName(name).shardCount(2)));
        String arn = whenActive().streamARN();
        call("describeStreamSummary", () -> client.describeStreamSummary(r -> r.streamARN(arn)),
                a -> a.streamDescriptionSummary().openShardCount() == 2);
        call("describeStream", () -> client.describeStream(r -> r.streamName(name)),
                a -> Math.abs(a.streamDescription().streamCreationTimestamp().toEpochMilli()
                        - System.currentTimeMillis()) < 60_000);
        call("listStreams", () -> client.listStreams(), a -> a.streamNames().contains(name));
        call("listShards", () -> client.listShards(r -> r.streamName(name)), a -> a.shards().size() == 2);
        call("describeLimits", () -> client.describeLimits(), a -> a.shardLimit() > 0);
        call("describeAccountSettings", () -> client.describeAccountSettings(r -> {}));
        call("updateAccountSettings", () -> client.updateAccountSettings(r -> r.minimumThroughputBillingCommitment(
                c -> c.status(MinimumThroughputBillingCommitmentInputStatus.DISABLED))));
        records(everyByte);
        consumers(arn, everyByte);
        tags(arn);
        changes(arn);
        refuses("updateStreamWarmThroughput", "ResourceNotFoundException",
                () -> client.updateStreamWarmThroughput(r -> r.streamName("none").warmThroughputMiBps(100)));
        refuses("describeStream", "ResourceNotFoundException",
                () -> client.describeStream(r -> r.streamName("none")));
        refuses("putRecord", "ValidationException",
                () -> client.putRecord(r -> r.streamName("no!").partitionKey("k").data(everyByte)));
        call("deleteStream", () -> client.deleteStream(r -> r.streamName(name).enforceConsumerDeletion(true)));
        nothingLeftOut();
        check("all was CBOR, and an event stream", types.equals(Set.of("application/x-amz-cbor-1.1",
                "application/vnd.amazon.eventstream")), types);
        client.close();
        client = builder(endpoint).build();
        call("listStreams", () -> client.listStreams(), a -> true);
        client.close();
    }
}
