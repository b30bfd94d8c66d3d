package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;

class PollingTest {
    private static final ShardName SHARD = new ShardName("arn", "shard");

    private long nanos = 1;
    private final Polling polling = new Polling(250, 7_000, () -> nanos);

    private void pass(Duration time) {
        nanos += time.toNanos();
    }

    private static RecordReader.Answer page(int records, Instant created, long sizeBytes) {
        return new RecordReader.Answer(
                GetRecordsResponse.builder().nextShardIterator("next").build(),
                IntStream.range(0, records)
                        .mapToObj(n -> ReadRecord.handled("1", created, sizeBytes, Slice.of(new byte[1])))
                        .toList());
    }

    private static RecordReader.Answer page(int records) {
        return page(records, Instant.now(), 100);
    }

    @Test
    void aShardIsReadAtOnceWhenItIsNewToUs() {
        assertEquals(0, polling.pauseMillis(SHARD));
    }

    @Test
    void aShardWithAFewNewRecordsIsReadFourTimesASecond() {
        polling.answered(SHARD, page(3));
        assertEquals(250, polling.pauseMillis(SHARD));
        pass(Duration.ofMillis(100));
        assertEquals(150, polling.pauseMillis(SHARD));
        pass(Duration.ofSeconds(1));
        assertEquals(0, polling.pauseMillis(SHARD));
    }

    @Test
    void thePauseIsAnEightiethOfTheTimeSinceTheLastRecord() {
        polling.answered(SHARD, page(1));
        pass(Duration.ofSeconds(80));
        polling.answered(SHARD, page(0));
        assertEquals(1_000, polling.pauseMillis(SHARD));
        pass(Duration.ofSeconds(80));
        polling.answered(SHARD, page(0));
        assertEquals(2_000, polling.pauseMillis(SHARD));
        pass(Duration.ofHours(1));
        polling.answered(SHARD, page(0));
        assertEquals(7_000, polling.pauseMillis(SHARD));
        polling.answered(SHARD, page(1));
        assertEquals(250, polling.pauseMillis(SHARD));
    }

    @Test
    void afterTenIdleMinutesTheCallsAreAThirdOfKcls() {
        polling.answered(SHARD, page(1));
        pass(Duration.ofMinutes(10));
        polling.answered(SHARD, page(0));
        assertTrue(polling.pauseMillis(SHARD) >= 3 * 2_000);
    }

    @Test
    void aShardThatIsBehindIsReadWithoutAPause() {
        for (RecordReader.Answer behind : new RecordReader.Answer[] {
            page(1_000), page(2, Instant.now(), 400_000), page(1, Instant.now().minusSeconds(60), 100)
        }) {
            polling.answered(SHARD, behind);
            assertTrue(polling.hasMore(SHARD));
            assertEquals(0, polling.pauseMillis(SHARD));
        }
        polling.answered(SHARD, page(0));
        assertFalse(polling.hasMore(SHARD));
        assertEquals(250, polling.pauseMillis(SHARD));
    }

    @Test
    void aShardThatHasEndedIsForgotten() {
        polling.answered(SHARD, page(1));
        polling.answered(
                SHARD, new RecordReader.Answer(GetRecordsResponse.builder().build(), List.of()));
        assertEquals(0, polling.pauseMillis(SHARD));
    }
}
