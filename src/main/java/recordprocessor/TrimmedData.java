package recordprocessor;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Records that DynamoDB deleted, 24 hours after they were written, before they were read, and what
 * {@code onTrimmedData} says of them: the shard is stopped, or goes on behind the gap, which is counted.
 */
final class TrimmedData {
    private static final Logger log = LoggerFactory.getLogger(TrimmedData.class);

    private final boolean skipped;
    private final Map<ShardName, String> stops = new ConcurrentHashMap<>();
    private final Map<ShardName, Integer> gaps = new ConcurrentHashMap<>();

    /** @param skipped whether reading goes on behind a gap */
    TrimmedData(boolean skipped) {
        this.skipped = skipped;
    }

    /**
     * The records behind a shard's position are gone.
     *
     * @param position the last checkpoint: a sequence number, TRIM_HORIZON or LATEST
     * @param next what is read next if the gap is skipped, in words
     * @return whether it is skipped; else the shard is to be stopped, and nothing of it read
     */
    boolean isSkipped(ShardName shard, String position, String next) {
        if (!skipped) {
            stops.putIfAbsent(
                    shard,
                    "records of " + shard + " behind its last checkpoint, " + position
                            + ", were deleted by DynamoDB before they were read; to go on without them set"
                            + " onTrimmedData = skip");
            return false;
        }
        int count = gaps.merge(shard, 1, Integer::sum);
        log.warn(
                "records of {} behind its last checkpoint, {}, were deleted by DynamoDB before they were read;"
                        + " onTrimmedData = skip: reading goes on at {}; gaps of this shard: {}",
                shard,
                position,
                next,
                count);
        return true;
    }

    /** Why the shard must not be read on, if so. */
    Optional<String> whyStopped(ShardName shard) {
        return Optional.ofNullable(stops.get(shard));
    }

    /** How often records were passed over since this process began, for each shard of which any were. */
    Map<ShardName, Integer> gaps() {
        return Map.copyOf(gaps);
    }
}
