package recordprocessor;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;

/** Keeps what is said again and again down to once a minute. */
final class OncePerMinute {
    private static final long NANOS = Duration.ofMinutes(1).toNanos();
    private static final int MAX_REMEMBERED = 1_000;

    private final LongSupplier nanoTime;
    private final Map<String, Long> saidNanos = new ConcurrentHashMap<>();

    OncePerMinute() {
        this(System::nanoTime);
    }

    OncePerMinute(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    /** Whether it is time to say this; whoever is told so says it. */
    boolean isDue(String what) {
        long now = nanoTime.getAsLong();
        if (saidNanos.size() > MAX_REMEMBERED) {
            saidNanos.clear();
        }
        Long said = saidNanos.get(what);
        if (said != null && now - said < NANOS) {
            return false;
        }
        return said == null ? saidNanos.putIfAbsent(what, now) == null : saidNanos.replace(what, said, now);
    }
}
