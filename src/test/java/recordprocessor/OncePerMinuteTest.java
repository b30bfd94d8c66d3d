package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class OncePerMinuteTest {
    private final AtomicLong now = new AtomicLong(-5);
    private final OncePerMinute minute = new OncePerMinute(now::get);

    @Test
    void eachThingIsSaidAtOnceAndThenOnceAMinute() {
        assertTrue(minute.isDue("a"));
        assertTrue(minute.isDue("b"));
        now.addAndGet(Duration.ofSeconds(59).toNanos());
        assertFalse(minute.isDue("a"));
        now.addAndGet(Duration.ofSeconds(1).toNanos());
        assertTrue(minute.isDue("a"));
        assertFalse(minute.isDue("a"));
    }
}
