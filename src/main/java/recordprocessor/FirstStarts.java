package recordprocessor;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import software.amazon.awssdk.services.dynamodb.model.Shard;

/**
 * What {@code initialPositionInStream = LATEST} means: the second of the application's first start, for each stream.
 *
 * <p>DynamoDB's own LATEST is the moment at which it is asked, so that a restart would begin later than the first start.
 * Only the process of the first start uses it, by iterators that were made at that moment; everybody else reads from
 * the trim horizon and drops what is older.
 */
final class FirstStarts {
    /** DynamoDB's iterators live for 15 minutes. */
    private static final long ITERATOR_NANOS = Duration.ofMinutes(14).toNanos();

    private final LongSupplier nanoTime;
    private final Map<String, Instant> seconds = new ConcurrentHashMap<>();
    private final Map<ShardName, Kept> iterators = new ConcurrentHashMap<>();

    private record Kept(Shard shard, String iterator, long madeNanos) {}

    FirstStarts() {
        this(System::nanoTime);
    }

    FirstStarts(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    /** The second of the stream's first start: what was created before it is not the application's. */
    void remember(String streamArn, Instant second) {
        seconds.put(streamArn, second);
    }

    boolean isKnown(String streamArn) {
        return seconds.containsKey(streamArn);
    }

    /**
     * Whether a record was created before the first start. DynamoDB gives the time in whole seconds, rounded down;
     * DynamoDB Local in whole minutes: what may be of the first start's minute is not older.
     */
    boolean isOlder(Instant created, String streamArn) {
        Instant first = seconds.get(streamArn);
        return first != null
                && created != null
                && created.isBefore(first)
                && !created.equals(first.truncatedTo(ChronoUnit.MINUTES));
    }

    /** An iterator at LATEST of an open shard, made at the first start, for the shard's first read in this process. */
    void keep(String streamArn, Shard shard, String iterator) {
        iterators.put(new ShardName(streamArn, shard.shardId()), new Kept(shard, iterator, nanoTime.getAsLong()));
    }

    /** The shards that were open at the first start, if it is this process's. */
    List<Shard> openShards(String streamArn) {
        return iterators.entrySet().stream()
                .filter(kept -> kept.getKey().streamArn().equals(streamArn))
                .map(kept -> kept.getValue().shard())
                .toList();
    }

    /** The kept iterator, once, while DynamoDB still knows it. */
    Optional<String> takeIterator(ShardName shard) {
        return Optional.ofNullable(iterators.remove(shard))
                .filter(kept -> nanoTime.getAsLong() - kept.madeNanos() < ITERATOR_NANOS)
                .map(Kept::iterator);
    }

    /** Another host was first. */
    void dropIterators(String streamArn) {
        iterators.keySet().removeIf(shard -> shard.streamArn().equals(streamArn));
    }
}
