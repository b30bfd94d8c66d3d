package recordprocessor;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;

/**
 * How long to wait before a shard is asked for records again.
 *
 * <p>Not at all, if there is more: a page that is full, or whose last record is old. Else an eightieth of the time since
 * the shard's last record, from the minimum to the maximum: what is written after a while of nothing waits one or two
 * percent of that while, and a shard that is idle for long costs little.
 */
final class Polling {
    private static final int PART = 80;
    private static final Duration OLD = Duration.ofSeconds(5);
    /** GetRecords gives up to 1,000 records and 1 MB; a page of half of either is a full one. */
    private static final int FULL_RECORDS = 500;

    private static final long FULL_BYTES = 512 * 1024;

    private final long minimumNanos;
    private final long maximumNanos;
    private final LongSupplier nanoTime;
    private final Map<ShardName, Shard> shards = new ConcurrentHashMap<>();

    /** What is known of a shard: when it was asked, when it last had records, and whether it has more. */
    private record Shard(long askedNanos, long recordsNanos, boolean hasMore) {}

    /** @param nanoTime a clock that goes on evenly, in nanoseconds */
    Polling(long minimumMillis, long maximumMillis, LongSupplier nanoTime) {
        this.minimumNanos = Duration.ofMillis(minimumMillis).toNanos();
        this.maximumNanos = Duration.ofMillis(maximumMillis).toNanos();
        this.nanoTime = nanoTime;
    }

    static Polling of(Settings settings) {
        return new Polling(
                settings.minimumPollIntervalMillis(), settings.maximumPollIntervalMillis(), System::nanoTime);
    }

    /** How long to wait now, in milliseconds. */
    long pauseMillis(ShardName name) {
        Shard shard = shards.get(name);
        if (shard == null || shard.hasMore) {
            return 0;
        }
        long part = (nanoTime.getAsLong() - shard.recordsNanos) / PART;
        long interval = Math.min(Math.max(part, minimumNanos), maximumNanos);
        return Math.max(
                0,
                Duration.ofNanos(shard.askedNanos + interval - nanoTime.getAsLong())
                        .toMillis());
    }

    /** Whether there was more than the last answer had. */
    boolean hasMore(ShardName name) {
        Shard shard = shards.get(name);
        return shard != null && shard.hasMore;
    }

    /** Remembers what an answer tells. */
    void answered(ShardName name, RecordReader.Answer answer) {
        if (answer.response().nextShardIterator() == null) {
            shards.remove(name);
            return;
        }
        long now = nanoTime.getAsLong();
        List<ReadRecord> records = answer.records();
        Shard before = shards.get(name);
        long recordsNanos = records.isEmpty() && before != null ? before.recordsNanos : now;
        shards.put(name, new Shard(now, recordsNanos, !records.isEmpty() && hasMore(records)));
    }

    private static boolean hasMore(List<ReadRecord> records) {
        return records.size() >= FULL_RECORDS
                || bytes(records) >= FULL_BYTES
                || isOld(records.get(records.size() - 1).approximateArrivalTimestamp());
    }

    private static long bytes(List<ReadRecord> records) {
        return records.stream().mapToLong(ReadRecord::sizeBytes).sum();
    }

    private static boolean isOld(Instant created) {
        return created != null && created.isBefore(Instant.now().minus(OLD));
    }
}
