package recordprocessor;

import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.checkpoint.ShardRecordProcessorCheckpointer;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.KinesisClientLibDependencyException;
import software.amazon.kinesis.exceptions.KinesisClientLibException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.exceptions.ThrottlingException;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

/** One shard's checkpoints: KCL's checkpointer, which remembers them in the lease table, with retries. */
final class Checkpoints {
    private static final Logger log = LoggerFactory.getLogger(Checkpoints.class);
    private static final int ATTEMPTS = 5;
    private static final long MAX_BACKOFF_MILLIS = 2_000;

    private volatile RecordProcessorCheckpointer checkpointer;
    private volatile SequenceNumber last = SequenceNumber.NONE;
    private volatile boolean leaseLost;

    /** KCL hands its checkpointer over with every call; before the first there is nothing to checkpoint. */
    void use(RecordProcessorCheckpointer kclCheckpointer) {
        checkpointer = kclCheckpointer;
    }

    /** Whether KCL refused a checkpoint because the lease is no longer the one that this shard was begun with. */
    boolean isLeaseLost() {
        return leaseLost;
    }

    /** The highest sequence number that was checkpointed in this process. */
    SequenceNumber last() {
        return last;
    }

    /**
     * Checkpoints at a sequence number, or at the last record that KCL handed out if there is none.
     *
     * @return what went wrong, after the retries, or null: the child is told of it by name, as in MultiLang
     */
    Throwable checkpoint(String sequenceNumber, Long subSequenceNumber) {
        for (int attempt = 1; ; attempt++) {
            Throwable failure = attempt(sequenceNumber, subSequenceNumber);
            if (!isTransient(failure) || attempt == ATTEMPTS) {
                if (failure != null) {
                    log.warn("checkpoint at {} failed: {}", Text.clean(sequenceNumber), Errors.oneLine(failure));
                }
                return failure;
            }
            Pause.millis(Pause.backoffMillis(attempt, MAX_BACKOFF_MILLIS));
        }
    }

    /** One attempt, of which nothing is logged. Returns what went wrong, or null. */
    Throwable tryOnce(SequenceNumber number) {
        return attempt(number.toString(), null);
    }

    /** The shard is read to its end: tried until that is remembered, or the shard is given up. */
    boolean shardEnd(BooleanSupplier givenUp) {
        for (int failures = 0; ; failures++) {
            Throwable failure = attempt(null, null);
            if (failure == null) {
                return true;
            }
            if (failure instanceof ShutdownException || givenUp.getAsBoolean()) {
                return false;
            }
            log.warn("checkpoint at the end of the shard failed, tried again: {}", Errors.oneLine(failure));
            Pause.millis(Pause.backoffMillis(failures, MAX_BACKOFF_MILLIS));
        }
    }

    /** The last checkpoint of a shard that is drained: tried until it is remembered, cannot be, or time is over. */
    void untilStored(SequenceNumber number, BooleanSupplier timeIsOver) {
        for (int failures = 0; ; failures++) {
            Throwable failure = tryOnce(number);
            if (failure == null || failure instanceof ShutdownException) {
                return;
            }
            if (!isTransient(failure) || timeIsOver.getAsBoolean()) {
                log.warn(
                        "the last checkpoint, at {}, failed: {}; what comes after the one before is delivered again",
                        number,
                        Errors.oneLine(failure));
                return;
            }
            Pause.millis(Pause.backoffMillis(failures, MAX_BACKOFF_MILLIS));
        }
    }

    private static boolean isTransient(Throwable failure) {
        return failure instanceof ThrottlingException || failure instanceof KinesisClientLibDependencyException;
    }

    /** Whether the end of the shard is what is remembered now. */
    boolean isAtShardEnd() {
        return checkpointer instanceof ShardRecordProcessorCheckpointer kcl
                && ExtendedSequenceNumber.SHARD_END.equals(kcl.lastCheckpointValue());
    }

    private Throwable attempt(String sequenceNumber, Long subSequenceNumber) {
        RecordProcessorCheckpointer current = checkpointer;
        if (current == null && sequenceNumber == null) {
            // "All that was handed out", before anything was.
            return null;
        }
        if (current == null) {
            return new InvalidStateException("no record has been handed out yet");
        }
        try {
            if (sequenceNumber == null) {
                current.checkpoint();
            } else {
                current.checkpoint(sequenceNumber, subSequenceNumber == null ? 0 : subSequenceNumber);
                last = last.max(SequenceNumber.of(sequenceNumber));
            }
            return null;
        } catch (KinesisClientLibException | RuntimeException e) {
            if (e instanceof ShutdownException) {
                leaseLost = true;
            }
            return e;
        }
    }
}
