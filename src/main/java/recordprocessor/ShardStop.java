package recordprocessor;

import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Whether a fatal error, of the user's handler or of the stream, has stopped a shard, and why; the log is reminded of it. */
final class ShardStop {
    private static final Logger log = LoggerFactory.getLogger(ShardStop.class);
    private static final long REMIND_NANOS = Duration.ofMinutes(1).toNanos();

    private volatile Stopped stopped;
    private long remindedNanos;

    /**
     * What is known of it.
     *
     * @param reason one line
     */
    record Stopped(String shardId, String reason, long sinceNanos) {}

    /**
     * Returns whether it was not stopped before.
     *
     * @param reason one line
     */
    synchronized boolean stop(String shardId, String reason) {
        if (stopped != null) {
            return false;
        }
        remindedNanos = System.nanoTime();
        stopped = new Stopped(shardId, reason, remindedNanos);
        log.error(
                "the shard is stopped by a fatal error: {}; what is not acknowledged waits until the command ends",
                stopped.reason());
        return true;
    }

    boolean isStopped() {
        return stopped != null;
    }

    Optional<Stopped> stopped() {
        return Optional.ofNullable(stopped);
    }

    /** Called every now and then. */
    synchronized void remind() {
        long now = System.nanoTime();
        if (stopped != null && now - remindedNanos >= REMIND_NANOS) {
            remindedNanos = now;
            log.warn(
                    "the shard has been stopped for {} min by a fatal error: {}",
                    Duration.ofNanos(now - stopped.sinceNanos()).toMinutes(),
                    stopped.reason());
        }
    }
}
