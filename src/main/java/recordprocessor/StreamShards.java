package recordprocessor;

import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamResponse;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.Shard;
import software.amazon.awssdk.services.dynamodb.model.StreamStatus;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/**
 * A stream's shards as DescribeStream lists them, on all its pages.
 *
 * @param second DynamoDB's time, in whole seconds, before the list was made
 */
record StreamShards(StreamStatus status, List<Shard> shards, Instant second) {
    /** Nothing if there is no such stream. Throws what the SDK throws, also when a later page is missing. */
    static Optional<StreamShards> of(DynamoDbStreamsClient client, String streamArn) {
        DescribeStreamResponse page;
        try {
            page = client.describeStream(request -> request.streamArn(streamArn));
        } catch (ResourceNotFoundException e) {
            return Optional.empty();
        }
        StreamStatus status = page.streamDescription().streamStatus();
        Instant second = second(page);
        List<Shard> shards = new ArrayList<>(page.streamDescription().shards());
        while (page.streamDescription().lastEvaluatedShardId() != null) {
            String last = page.streamDescription().lastEvaluatedShardId();
            page = client.describeStream(request -> request.streamArn(streamArn).exclusiveStartShardId(last));
            shards.addAll(page.streamDescription().shards());
        }
        return Optional.of(new StreamShards(status, shards, second));
    }

    boolean lists(String shardId) {
        return shards.stream().anyMatch(shard -> shard.shardId().equals(shardId));
    }

    boolean listsChildOf(String shardId) {
        return shards.stream().anyMatch(shard -> shardId.equals(shard.parentShardId()));
    }

    /** Whether shards may still appear in it: those of a stream that was switched off are all there. */
    boolean mayGrow() {
        return Set.of(StreamStatus.ENABLED, StreamStatus.ENABLING).contains(status);
    }

    List<Shard> open() {
        return shards.stream()
                .filter(shard -> shard.sequenceNumberRange() == null
                        || shard.sequenceNumberRange().endingSequenceNumber() == null)
                .toList();
    }

    /** By DynamoDB's clock, because that is what stamps the records; by ours only if the answer does not say. */
    private static Instant second(DescribeStreamResponse response) {
        Instant now = Instant.now();
        Instant theirs = Optional.ofNullable(response.sdkHttpResponse())
                .flatMap(http -> http.firstMatchingHeader("Date"))
                .map(date -> parse(date, now))
                .orElse(now);
        return theirs.truncatedTo(ChronoUnit.SECONDS);
    }

    private static Instant parse(String httpDate, Instant otherwise) {
        try {
            return Instant.from(DateTimeFormatter.RFC_1123_DATE_TIME.parse(httpDate));
        } catch (DateTimeParseException e) {
            return otherwise;
        }
    }
}
