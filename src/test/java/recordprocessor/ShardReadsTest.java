package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamResponse;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorResponse;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.Shard;
import software.amazon.awssdk.services.dynamodb.model.TrimmedDataAccessException;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.awssdk.services.kinesis.model.ExpiredIteratorException;

class ShardReadsTest {
    private static final String ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/label";
    private static final ShardName SHARD = new ShardName(ARN, "s");

    /** What DynamoDB answers next, in order: responses or exceptions. */
    private final Deque<Object> answers = new ArrayDeque<>();
    /** What it was asked, in words. */
    private final List<String> asked = new ArrayList<>();

    private final AtomicLong now = new AtomicLong();
    private final FirstStarts firstStarts = new FirstStarts(now::get);

    private ShardReads reads(TrimmedData trimmedData) {
        return new ShardReads(
                client(),
                new RecordReader(
                        client(),
                        firstStarts,
                        null,
                        Fakes.only(Transport.Factory.class, Map.of("takesMessagePack", () -> false))),
                trimmedData,
                firstStarts,
                new Polling(0, 0, now::get),
                new ReadAhead(),
                now::get);
    }

    @SuppressWarnings("unchecked")
    private DynamoDbStreamsClient client() {
        return (DynamoDbStreamsClient) Proxy.newProxyInstance(
                getClass().getClassLoader(),
                new Class<?>[] {DynamoDbStreamsClient.class},
                (proxy, method, arguments) -> {
                    if (arguments[0] instanceof Consumer<?> build
                            && method.getName().equals("getShardIterator")) {
                        GetShardIteratorRequest.Builder request = GetShardIteratorRequest.builder();
                        ((Consumer<GetShardIteratorRequest.Builder>) build).accept(request);
                        asked.add(request.build().shardIteratorTypeAsString());
                    } else if (arguments[0] instanceof GetRecordsRequest request) {
                        asked.add("records of " + request.shardIterator());
                    } else {
                        asked.add(method.getName());
                    }
                    Object answer = answers.remove();
                    if (answer instanceof RuntimeException failure) {
                        throw failure;
                    }
                    return answer;
                });
    }

    private static GetShardIteratorResponse iterator(String iterator) {
        return GetShardIteratorResponse.builder().shardIterator(iterator).build();
    }

    private static GetRecordsResponse records(ShardReads reads, String iterator) {
        GetRecordsRequest request =
                GetRecordsRequest.builder().shardIterator(iterator).build();
        return reads.records(request, (shard, answer) -> answer.response());
    }

    private static RuntimeException trimmed() {
        return TrimmedDataAccessException.builder().message("trimmed").build();
    }

    private static RuntimeException notFound() {
        return ResourceNotFoundException.builder().message("not found").build();
    }

    private static DescribeStreamResponse listing(String... shards) {
        return DescribeStreamResponse.builder()
                .streamDescription(stream -> stream.streamStatus("ENABLED")
                        .shards(List.of(shards).stream()
                                .map(id -> Shard.builder().shardId(id).build())
                                .toList()))
                .build();
    }

    @Test
    void anIteratorLeadsToItsRecordsAndToTheNext() {
        ShardReads reads = reads(new TrimmedData(false));
        answers.add(iterator("one"));
        answers.add(GetRecordsResponse.builder().nextShardIterator("two").build());
        answers.add(GetRecordsResponse.builder().build());
        String first = reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "7").orElseThrow();
        String second = records(reads, first).nextShardIterator();
        assertEquals(null, records(reads, second).nextShardIterator());
        assertEquals(List.of("AFTER_SEQUENCE_NUMBER", "records of one", "records of two"), asked);
    }

    @Test
    void deletedRecordsStopTheShardAndNothingMoreIsAsked() {
        TrimmedData trimmedData = new TrimmedData(false);
        ShardReads reads = reads(trimmedData);
        answers.add(trimmed());
        String stopped = reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "7").orElseThrow();
        assertTrue(trimmedData.whyStopped(SHARD).orElseThrow().contains("last checkpoint, 7,"));
        GetRecordsResponse response = records(reads, stopped);
        assertEquals(stopped, response.nextShardIterator());
        assertTrue(response.records().isEmpty());
        assertEquals(Optional.of(stopped), reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "7"));
        assertEquals(1, asked.size());
    }

    @Test
    void deletedRecordsAreSkippedToTheTrimHorizonAndCounted() {
        TrimmedData trimmedData = new TrimmedData(true);
        ShardReads reads = reads(trimmedData);
        answers.add(trimmed());
        answers.add(iterator("horizon"));
        assertTrue(reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "7").isPresent());
        assertEquals(List.of("AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON"), asked);
        assertEquals(Map.of(SHARD, 1), trimmedData.gaps());
    }

    @Test
    void recordsDeletedBehindAnIteratorAreFoundOutAboutThoughANewIteratorIsGiven() {
        TrimmedData trimmedData = new TrimmedData(false);
        ShardReads reads = reads(trimmedData);
        answers.add(iterator("one"));
        answers.add(trimmed());
        String first = reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "7").orElseThrow();
        assertThrows(ExpiredIteratorException.class, () -> records(reads, first));
        reads.iterator(SHARD, "AFTER_SEQUENCE_NUMBER", "8");
        assertTrue(trimmedData.whyStopped(SHARD).orElseThrow().contains("last checkpoint, 8,"));
    }

    @Test
    void aShardThatIsNotFoundThoughItIsListedIsAskedForAgain() {
        TrimmedData trimmedData = new TrimmedData(true);
        ShardReads reads = reads(trimmedData);
        answers.addAll(List.of(notFound(), listing("s", "t")));
        assertThrows(SaidException.class, () -> reads.iterator(SHARD, "TRIM_HORIZON", null));
        assertEquals(Map.of(), trimmedData.gaps());
    }

    @Test
    void aShardThatIsNotListedHasEndedOrIsStopped() {
        answers.addAll(List.of(notFound(), listing("t"), notFound(), listing("t")));
        assertEquals(Optional.empty(), reads(new TrimmedData(true)).iterator(SHARD, "TRIM_HORIZON", null));
        TrimmedData fails = new TrimmedData(false);
        assertTrue(reads(fails).iterator(SHARD, "TRIM_HORIZON", null).isPresent());
        assertTrue(fails.whyStopped(SHARD).isPresent());
    }

    @Test
    void aStreamThatIsNotFoundOrListsNothingIsGoneOnlyAfterAQuarterOfAnHour() {
        TrimmedData trimmedData = new TrimmedData(true);
        ShardReads reads = reads(trimmedData);
        answers.addAll(List.of(notFound(), notFound(), notFound(), listing()));
        assertThrows(SaidException.class, () -> reads.iterator(SHARD, "TRIM_HORIZON", null));
        now.addAndGet(Duration.ofMinutes(14).toNanos());
        assertThrows(SaidException.class, () -> reads.iterator(SHARD, "TRIM_HORIZON", null));
        assertEquals(Map.of(), trimmedData.gaps());
        now.addAndGet(Duration.ofMinutes(1).toNanos());
        answers.addAll(List.of(notFound(), notFound()));
        assertEquals(Optional.empty(), reads.iterator(SHARD, "TRIM_HORIZON", null));
        assertEquals(Map.of(SHARD, 1), trimmedData.gaps());
    }

    @Test
    void latestIsTheKeptIteratorThenTheTrimHorizon() {
        ShardReads reads = reads(new TrimmedData(false));
        firstStarts.remember(ARN, Instant.EPOCH);
        firstStarts.keep(ARN, Shard.builder().shardId("s").build(), "kept");
        assertTrue(reads.iterator(SHARD, "LATEST", null).orElseThrow().endsWith("kept"));
        answers.add(iterator("horizon"));
        reads.iterator(SHARD, "LATEST", null);
        assertEquals(List.of("TRIM_HORIZON"), asked);
    }

    @Test
    void latestOfAFirstStartThatNobodyRememberedIsDynamoDBs() {
        answers.add(iterator("latest"));
        reads(new TrimmedData(false)).iterator(SHARD, "LATEST", null);
        assertEquals(List.of("LATEST"), asked);
    }
}
