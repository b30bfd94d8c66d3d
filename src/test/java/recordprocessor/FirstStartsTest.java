package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.Shard;

class FirstStartsTest {
    private static final String ARN = "arn";
    private static final Instant FIRST = Instant.parse("2026-01-01T10:00:30Z");
    private static final Shard SHARD = Shard.builder().shardId("s").build();
    private static final ShardName NAME = new ShardName(ARN, "s");

    private final AtomicLong now = new AtomicLong();
    private final FirstStarts starts = new FirstStarts(now::get);

    private boolean isOlder(String created) {
        return starts.isOlder(Instant.parse(created), ARN);
    }

    @Test
    void onlyWhatWasCreatedBeforeTheSecondOfTheFirstStartIsOlder() {
        assertFalse(isOlder("2026-01-01T10:00:29Z"), "nothing is known of the stream");
        starts.remember(ARN, FIRST);
        assertTrue(isOlder("2026-01-01T10:00:29Z"));
        assertFalse(isOlder("2026-01-01T10:00:30Z"));
        assertFalse(isOlder("2026-01-01T10:00:31Z"));
    }

    @Test
    void whatDynamoDBLocalRoundsDownToTheMinuteOfTheFirstStartIsNotOlder() {
        starts.remember(ARN, FIRST);
        assertFalse(isOlder("2026-01-01T10:00:00Z"));
        assertTrue(isOlder("2026-01-01T09:59:00Z"));
    }

    @Test
    void anIteratorIsGivenOnceWhileDynamoDBKnowsIt() {
        starts.keep(ARN, SHARD, "first");
        assertEquals(List.of(SHARD), starts.openShards(ARN));
        assertEquals(List.of(), starts.openShards("another"));
        assertEquals(Optional.of("first"), starts.takeIterator(NAME));
        assertEquals(Optional.empty(), starts.takeIterator(NAME));
        starts.keep(ARN, SHARD, "expired");
        now.addAndGet(Duration.ofMinutes(15).toNanos());
        assertEquals(Optional.empty(), starts.takeIterator(NAME));
    }

    @Test
    void iteratorsOfALaterStartThanTheFirstAreDropped() {
        starts.keep(ARN, SHARD, "later");
        starts.dropIterators(ARN);
        assertEquals(Optional.empty(), starts.takeIterator(NAME));
        assertEquals(List.of(), starts.openShards(ARN));
    }
}
