package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class SpareMemoryTest {
    private static final int MB = 1024 * 1024;

    private long nanos;
    private int collections;
    private final SpareMemory memory = new SpareMemory(() -> nanos, () -> collections++);

    private void pass(int seconds, int bytesPerSecond) {
        for (int second = 0; second < seconds; second++) {
            nanos += Duration.ofSeconds(1).toNanos();
            memory.read(bytesPerSecond);
            memory.look();
        }
    }

    @Test
    void theStartsIsGivenBackOnce() {
        pass(9, 0);
        assertEquals(0, collections);
        pass(60, 0);
        assertEquals(1, collections);
    }

    @Test
    void aLoadsIsGivenBackTenSecondsAfterIt() {
        pass(20, 0);
        pass(60, 10 * MB);
        assertEquals(1, collections, "not while it lasts");
        pass(9, 100);
        assertEquals(1, collections);
        pass(60, 100);
        assertEquals(2, collections);
    }

    @Test
    void aLittleIsNotWorthItUntilItHasAddedUp() {
        pass(20, 0);
        pass(700, 1_000);
        assertEquals(1, collections);
        pass(200, 1_000);
        assertEquals(2, collections);
    }
}
