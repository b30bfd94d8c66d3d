package recordprocessor;

import java.util.concurrent.ThreadLocalRandom;

/** Waits, and back-off times. */
final class Pause {
    private static final long FIRST_BACKOFF_MILLIS = 100;
    private static final int MAX_DOUBLINGS = 9;

    private Pause() {}

    static void millis(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }

    /** Exponential, from 0.1 s to {@code maxMillis}, the upper half of it by chance. */
    static long backoffMillis(int failures, long maxMillis) {
        long full = Math.min(maxMillis, FIRST_BACKOFF_MILLIS << Math.min(failures, MAX_DOUBLINGS));
        return full / 2 + ThreadLocalRandom.current().nextLong(full / 2 + 1);
    }
}
