package recordprocessor;

import java.time.Duration;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.exceptions.ShutdownException;

/**
 * When what a worker of ours has acknowledged becomes a checkpoint: every {@code checkpointIntervalMillis}, and whenever
 * somebody needs it. One at a time, and never in a thread that others wait for, because each is a write to DynamoDB.
 */
final class AcknowledgedCheckpoints {
    private static final Logger log = LoggerFactory.getLogger(AcknowledgedCheckpoints.class);

    private final Checkpoints checkpoints;
    private final Unacknowledged unacknowledged;
    private final SerialTasks tasks;
    private final long intervalNanos;
    private final BooleanSupplier heldBack;
    private long lastNanos = System.nanoTime();
    private boolean wholeBatch;
    private boolean failing;
    private boolean running;

    /** @param heldBack whether the shard is at its end, which only its last request may have stored */
    AcknowledgedCheckpoints(
            Checkpoints checkpoints,
            Unacknowledged unacknowledged,
            SerialTasks tasks,
            long intervalMillis,
            BooleanSupplier heldBack) {
        this.checkpoints = checkpoints;
        this.unacknowledged = unacknowledged;
        this.tasks = tasks;
        this.intervalNanos = Duration.ofMillis(intervalMillis).toNanos();
        this.heldBack = heldBack;
    }

    /** Something new was acknowledged. */
    void onAcknowledged(boolean aBatchOrMore) {
        note(aBatchOrMore);
        startIfDue(false);
    }

    /** Called every now and then. */
    void tick(boolean aBatchOrMore) {
        note(aBatchOrMore);
        startIfDue(true);
    }

    private synchronized void note(boolean aBatchOrMore) {
        wholeBatch |= aBatchOrMore;
    }

    private synchronized void startIfDue(boolean tick) {
        boolean due = intervalNanos > 0 ? System.nanoTime() - lastNanos >= intervalNanos : wholeBatch;
        // Without an interval a checkpoint that failed would be tried again with every acknowledgement.
        boolean tooSoon = failing && !tick;
        if (running || !due || tooSoon || !isAnythingNew() || heldBack.getAsBoolean()) {
            return;
        }
        running = true;
        wholeBatch = false;
        tasks.run(this::once);
    }

    private void once() {
        SequenceNumber number = unacknowledged.acknowledged();
        Throwable failure = null;
        try {
            if (isAnythingNew() && !heldBack.getAsBoolean()) {
                failure = checkpoints.tryOnce(number);
            }
            if (checkpoints.isAtShardEnd()) {
                // Meanwhile the shard has ended, which says more.
                failure = null;
            }
        } finally {
            synchronized (this) {
                running = false;
                lastNanos = System.nanoTime();
                note(number, failure);
            }
        }
        // For what was acknowledged meanwhile.
        startIfDue(false);
    }

    private void note(SequenceNumber number, Throwable failure) {
        if (failure == null && failing) {
            log.info("checkpoint at {} stored", number);
        } else if (failure != null && !failing && !(failure instanceof ShutdownException)) {
            log.warn("checkpoint at {} failed: {}; it is tried again", number, Errors.oneLine(failure));
        }
        failing = failure != null;
        wholeBatch |= failing;
    }

    /** Before a process is replaced: waits for it, and for one that runs. */
    void storeNow() {
        tasks.runAndWait(() -> {
            if (isAnythingNew() && !heldBack.getAsBoolean()) {
                checkpoints.checkpoint(unacknowledged.acknowledged().toString(), null);
            }
        });
    }

    /** After the last acknowledgement: tried until it is stored, the lease is lost or time is over. */
    void storeForGood(BooleanSupplier timeIsOver) {
        tasks.runAndWait(() -> {
            if (isAnythingNew() && !heldBack.getAsBoolean()) {
                checkpoints.untilStored(unacknowledged.acknowledged(), timeIsOver);
            }
        });
    }

    private boolean isAnythingNew() {
        return unacknowledged.acknowledged().isAfter(checkpoints.last()) && !checkpoints.isAtShardEnd();
    }
}
