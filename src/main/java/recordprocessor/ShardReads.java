package recordprocessor;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.model.ExpiredIteratorException;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.ShardIteratorType;
import software.amazon.awssdk.services.dynamodb.model.TrimmedDataAccessException;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/**
 * Iterators and records of shards, and what becomes of a shard whose records, or which itself, is not there.
 *
 * <p>To KCL an iterator is an opaque text: ours carries its shard's name, which GetRecords would not know. A call that
 * fails is said here, and waits here, longer each time: KCL, which makes it again, does not.
 */
final class ShardReads {
    private static final Logger log = LoggerFactory.getLogger(ShardReads.class);
    private static final long MAX_BACKOFF_MILLIS = 5_000;
    /** A stream is not found for a while when DynamoDB is unwell; for so long only when it is gone. */
    private static final long STREAM_GONE_NANOS = Duration.ofMinutes(15).toNanos();

    /** Of a shard that is stopped: nothing is asked for. */
    private static final String STOPPED = "stopped";

    private final DynamoDbStreamsClient dynamoDBStreams;
    private final RecordReader reader;
    private final TrimmedData trimmedData;
    private final FirstStarts firstStarts;
    private final Polling polling;
    private final ReadAhead readAhead;
    private final LongSupplier nanoTime;
    private final OncePerMinute minute = new OncePerMinute();
    private final Map<ShardName, Integer> failures = new ConcurrentHashMap<>();
    /** Shards of which GetRecords said that what comes next was deleted. */
    private final Set<ShardName> trimmed = ConcurrentHashMap.newKeySet();
    /** Stream ARN to when it was first not found, in nanoseconds. */
    private final Map<String, Long> missingSince = new ConcurrentHashMap<>();

    /** @param nanoTime a clock that goes on evenly, in nanoseconds */
    ShardReads(
            DynamoDbStreamsClient dynamoDBStreams,
            RecordReader reader,
            TrimmedData trimmedData,
            FirstStarts firstStarts,
            Polling polling,
            ReadAhead readAhead,
            LongSupplier nanoTime) {
        this.dynamoDBStreams = dynamoDBStreams;
        this.reader = reader;
        this.trimmedData = trimmedData;
        this.firstStarts = firstStarts;
        this.polling = polling;
        this.readAhead = readAhead;
        this.nanoTime = nanoTime;
    }

    /**
     * An iterator at a position of a shard; none if the shard counts as read to its end.
     *
     * @param sequenceNumber null for TRIM_HORIZON and LATEST
     */
    Optional<String> iterator(ShardName shard, String type, String sequenceNumber) {
        readAhead.forget(shard);
        String position = sequenceNumber == null ? type : sequenceNumber;
        if (trimmedData.whyStopped(shard).isPresent()) {
            return Optional.of(named(shard, STOPPED));
        }
        if (trimmed.remove(shard) && sequenceNumber != null) {
            return afterTrimmedData(shard, position);
        }
        boolean latest = type.equals(ShardIteratorType.LATEST.toString());
        Optional<String> kept = latest ? firstStarts.takeIterator(shard) : Optional.empty();
        if (kept.isPresent()) {
            return Optional.of(named(shard, kept.get()));
        }
        boolean pinned = latest && firstStarts.isKnown(shard.streamArn());
        try {
            String iterator = ask(shard, pinned ? ShardIteratorType.TRIM_HORIZON.toString() : type, sequenceNumber);
            return Optional.of(named(shard, iterator));
        } catch (TrimmedDataAccessException e) {
            return afterTrimmedData(shard, position);
        } catch (ResourceNotFoundException e) {
            return afterNotFound(shard, position, e);
        } catch (RuntimeException e) {
            throw failed("GetShardIterator", shard, e);
        }
    }

    private String ask(ShardName shard, String type, String sequenceNumber) {
        return dynamoDBStreams
                .getShardIterator(request -> request.streamArn(LocalArns.inside(shard.streamArn()))
                        .shardId(shard.shardId())
                        .shardIteratorType(type)
                        .sequenceNumber(sequenceNumber))
                .shardIterator();
    }

    private Optional<String> afterTrimmedData(ShardName shard, String position) {
        if (!trimmedData.isSkipped(shard, position, "the trim horizon")) {
            return Optional.of(named(shard, STOPPED));
        }
        try {
            return Optional.of(named(shard, ask(shard, ShardIteratorType.TRIM_HORIZON.toString(), null)));
        } catch (ResourceNotFoundException e) {
            // All of it was deleted meanwhile, and that is counted.
            return Optional.empty();
        } catch (RuntimeException e) {
            throw failed("GetShardIterator", shard, e);
        }
    }

    /** A shard is gone only if DynamoDB does not list it either: then what was not read of it is deleted. */
    private Optional<String> afterNotFound(ShardName shard, String position, ResourceNotFoundException notFound) {
        if (!isGone(shard)) {
            throw failed("GetShardIterator", shard, notFound);
        }
        return trimmedData.isSkipped(shard, position, "its child shards")
                ? Optional.empty()
                : Optional.of(named(shard, STOPPED));
    }

    private boolean isGone(ShardName shard) {
        Optional<StreamShards> listed;
        try {
            listed = StreamShards.of(dynamoDBStreams, shard.streamArn());
        } catch (RuntimeException e) {
            throw failed("DescribeStream", shard, e);
        }
        if (listed.filter(stream -> !stream.shards().isEmpty()).isPresent()) {
            missingSince.remove(shard.streamArn());
            return !listed.get().lists(shard.shardId());
        }
        long now = nanoTime.getAsLong();
        Long since = missingSince.putIfAbsent(shard.streamArn(), now);
        return since != null && now - since >= STREAM_GONE_NANOS;
    }

    /** How long to wait before the call, in milliseconds. */
    long pauseMillis(GetRecordsRequest request) {
        return polling.pauseMillis(Iterator.of(request.shardIterator()).shard());
    }

    /**
     * Records behind an iterator of ours.
     *
     * @param use makes of an answer what is wanted of it
     */
    <T> T records(GetRecordsRequest request, BiFunction<ShardName, RecordReader.Answer, T> use) {
        Iterator iterator = Iterator.of(request.shardIterator());
        return polling.hasMore(iterator.shard())
                ? readAhead.largePage(iterator.shard(), () -> records(iterator, request, use))
                : records(iterator, request, use);
    }

    private <T> T records(
            Iterator iterator, GetRecordsRequest request, BiFunction<ShardName, RecordReader.Answer, T> use) {
        ShardName shard = iterator.shard();
        RecordReader.Answer answer = iterator.text().equals(STOPPED)
                ? new RecordReader.Answer(
                        GetRecordsResponse.builder()
                                .nextShardIterator(request.shardIterator())
                                .build(),
                        List.of())
                : read(shard, request.toBuilder().shardIterator(iterator.text()).build());
        polling.answered(shard, answer);
        return use.apply(shard, answer);
    }

    private RecordReader.Answer read(ShardName shard, GetRecordsRequest request) {
        try {
            RecordReader.Answer answer = reader.read(request, shard.streamArn());
            failures.remove(shard);
            missingSince.remove(shard.streamArn());
            return named(shard, answer);
        } catch (ExpiredIteratorException e) {
            throw positionAgain(e);
        } catch (TrimmedDataAccessException e) {
            trimmed.add(shard);
            throw positionAgain(e);
        } catch (ResourceNotFoundException e) {
            if (!isGone(shard)) {
                failed("GetRecords", shard, e);
            }
            throw positionAgain(e);
        } catch (RuntimeException e) {
            throw failed("GetRecords", shard, e);
        }
    }

    /** KCL then asks for an iterator at its position, where it turns out what is there. */
    private static RuntimeException positionAgain(Exception e) {
        return software.amazon.awssdk.services.kinesis.model.ExpiredIteratorException.builder()
                .message(e.getMessage())
                .cause(e)
                .build();
    }

    /** Says it, and returns after a pause what to throw. */
    private SaidException failed(String operation, ShardName shard, RuntimeException failure) {
        Throwable cause = Errors.cause(failure);
        String what = cause instanceof ResourceNotFoundException ? notFound(shard) : Errors.oneLine(cause);
        // A denied call is said by DeniedCalls.
        if (!Errors.isDenied(cause) && minute.isDue(shard + what.replaceAll("[0-9]+", "#"))) {
            log.warn("dynamodb:{} on {} failed: {}; it is tried again", operation, shard, what);
        }
        int count = failures.merge(shard, 1, Integer::sum);
        Pause.millis(Pause.backoffMillis(count, MAX_BACKOFF_MILLIS));
        return new SaidException(what, failure);
    }

    private String notFound(ShardName shard) {
        return missingSince.containsKey(shard.streamArn())
                ? "the stream is not found; its leases are left as they are"
                : "it is not found though it is listed";
    }

    private static RecordReader.Answer named(ShardName shard, RecordReader.Answer answer) {
        String next = answer.response().nextShardIterator();
        return next == null
                ? answer
                : new RecordReader.Answer(
                        answer.response().toBuilder()
                                .nextShardIterator(named(shard, next))
                                .build(),
                        answer.records());
    }

    private static String named(ShardName shard, String iterator) {
        return new Iterator(shard, iterator).named();
    }

    /** DynamoDB's, and the shard that it is of. */
    private record Iterator(ShardName shard, String text) {
        private static final char SEPARATOR = '\n';

        String named() {
            return shard.streamArn() + SEPARATOR + shard.shardId() + SEPARATOR + text;
        }

        static Iterator of(String named) {
            int first = named.indexOf(SEPARATOR);
            int second = named.indexOf(SEPARATOR, first + 1);
            return new Iterator(
                    new ShardName(named.substring(0, first), named.substring(first + 1, second)),
                    named.substring(second + 1));
        }
    }
}
