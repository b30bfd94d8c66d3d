package recordprocessor;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * One shard's records that are not acknowledged yet: those that its process was sent, and behind them those that it will
 * be. Whoever replaces the process is sent all of them.
 */
final class Unacknowledged {
    private final Budget budget;
    private final long maximumBytes;
    private final int maximumRecords;
    private final long messageBytes;
    private final Deque<Batch> sent = new ArrayDeque<>();
    private final Deque<Batch> unsent = new ArrayDeque<>();
    private long keptBytes;
    private int keptRecords;
    private SequenceNumber acknowledged = SequenceNumber.NONE;
    /** Up to here every record was kept, or needs no handling. */
    private SequenceNumber readUpTo = SequenceNumber.NONE;

    private SequenceNumber lastHandled = SequenceNumber.NONE;
    /** To the process that there is now. */
    private SequenceNumber lastSent = SequenceNumber.NONE;

    private long handledSinceNanos;
    private boolean givenUp;

    /** What an acknowledgement did. */
    enum Outcome {
        /** It is for a record that this process was not sent: nothing is acknowledged. */
        NOT_SENT,
        NOTHING_NEW,
        PART_OF_A_BATCH,
        A_BATCH_OR_MORE
    }

    /**
     * @param maximumBytes what is kept of this shard
     * @param maximumRecords the same in records
     * @param messageBytes how much goes into one message
     */
    Unacknowledged(Budget budget, long maximumBytes, int maximumRecords, long messageBytes) {
        this.budget = budget;
        this.maximumBytes = maximumBytes;
        this.maximumRecords = maximumRecords;
        this.messageBytes = messageBytes;
    }

    /** Waits until there is room. Returns whether the batch is kept; it is not once the shard is given up. */
    boolean add(Batch batch) {
        budget.waits(this);
        try {
            synchronized (this) {
                waitUntil(
                        () -> givenUp || take(batch.byteCount(), batch.records().size()));
                if (givenUp) {
                    return false;
                }
                unsent.addAll(batch.parts(messageBytes));
                notifyAll();
                return true;
            }
        } finally {
            budget.waitsNoMore(this);
        }
    }

    /**
     * Up to this record all that has to be handled was added, and the rest counts as handled as soon as that is. Returns
     * whether something counts as handled by this.
     */
    synchronized boolean passOver(SequenceNumber number) {
        readUpTo = readUpTo.max(number);
        SequenceNumber before = acknowledged;
        acknowledgeWhatIsRead();
        return acknowledged.isAfter(before);
    }

    private void acknowledgeWhatIsRead() {
        if (sent.isEmpty() && unsent.isEmpty()) {
            acknowledged = acknowledged.max(readUpTo);
        }
    }

    private boolean take(long bytes, int records) {
        if (keptRecords == 0) {
            budget.take(bytes);
        } else if (keptBytes + bytes > maximumBytes
                || keptRecords + records > maximumRecords
                || !budget.tryTake(bytes)) {
            return false;
        }
        keptBytes += bytes;
        keptRecords += records;
        return true;
    }

    /** The next batch, which from now on counts as sent. Waits for one; null once there is a reason to stop waiting. */
    synchronized Batch next(BooleanSupplier stop) {
        waitUntil(() -> givenUp || stop.getAsBoolean() || !unsent.isEmpty());
        if (givenUp || stop.getAsBoolean()) {
            return null;
        }
        Batch batch = unsent.remove();
        if (sent.isEmpty()) {
            handledSinceNanos = System.nanoTime();
        }
        sent.add(batch);
        lastSent = batch.last();
        return batch;
    }

    /** Drops every record up to this one, if the process was sent it. */
    Outcome acknowledge(SequenceNumber number) {
        long freedBytes;
        Outcome outcome;
        synchronized (this) {
            if (!number.isAfter(acknowledged)) {
                return Outcome.NOTHING_NEW;
            }
            if (number.isAfter(lastSent)) {
                return Outcome.NOT_SENT;
            }
            long before = keptBytes;
            outcome = dropUpTo(number);
            acknowledgeWhatIsRead();
            freedBytes = before - keptBytes;
            notifyAll();
        }
        budget.free(freedBytes);
        return outcome;
    }

    private Outcome dropUpTo(SequenceNumber number) {
        Outcome outcome = Outcome.NOTHING_NEW;
        while (!sent.isEmpty()) {
            Batch first = sent.remove();
            int count = first.countUpTo(number);
            keptRecords -= count;
            if (count > 0) {
                handledSinceNanos = System.nanoTime();
            }
            for (Batch.Kept each : first.records().subList(0, count)) {
                keptBytes -= each.encoded().length();
                acknowledged = each.number();
                lastHandled = acknowledged;
            }
            if (count < first.records().size()) {
                sent.addFirst(count == 0 ? first : first.without(count));
                return count > 0 && outcome == Outcome.NOTHING_NEW ? Outcome.PART_OF_A_BATCH : outcome;
            }
            outcome = Outcome.A_BATCH_OR_MORE;
        }
        return outcome;
    }

    /** The process gets on with the oldest record, though it has acknowledged nothing. */
    synchronized void progress() {
        handledSinceNanos = System.nanoTime();
    }

    /** The process is gone: its replacement has been sent nothing. */
    synchronized void rewind() {
        while (!sent.isEmpty()) {
            unsent.addFirst(sent.removeLast());
        }
        lastSent = SequenceNumber.NONE;
        notifyAll();
    }

    /** Nothing more is added or sent; what was sent can still be acknowledged. */
    synchronized void giveUp() {
        givenUp = true;
        notifyAll();
    }

    /** Nobody has this shard's records any more. */
    void clear() {
        long freedBytes;
        synchronized (this) {
            givenUp = true;
            sent.clear();
            unsent.clear();
            freedBytes = keptBytes;
            keptBytes = 0;
            keptRecords = 0;
            notifyAll();
        }
        budget.free(freedBytes);
    }

    /** Whoever waits looks again. */
    synchronized void wake() {
        notifyAll();
    }

    /** Waits for something that whoever brings it about says with {@link #wake}, or that changes here. */
    synchronized void awaitUntil(BooleanSupplier condition) {
        waitUntil(condition);
    }

    synchronized boolean isEmpty() {
        return sent.isEmpty() && unsent.isEmpty();
    }

    synchronized boolean isAnythingSent() {
        return !sent.isEmpty();
    }

    /** The last record that a process has acknowledged itself. */
    synchronized SequenceNumber lastHandled() {
        return lastHandled;
    }

    /** The last record up to which all is acknowledged, or needed no handling. */
    synchronized SequenceNumber acknowledged() {
        return acknowledged;
    }

    /** The last record that a process was sent and that counts: the present process's, or one that is acknowledged. */
    synchronized SequenceNumber lastSent() {
        return lastSent.max(acknowledged);
    }

    /** The first record that the present process was sent and has not acknowledged; NONE if it has no record. */
    synchronized SequenceNumber firstSent() {
        return sent.isEmpty() ? SequenceNumber.NONE : sent.peek().first();
    }

    /** The first record that is not acknowledged, sent or not; NONE if nothing is kept. */
    synchronized SequenceNumber first() {
        return sent.isEmpty() && !unsent.isEmpty() ? unsent.peek().first() : firstSent();
    }

    /** Since when the oldest record that is out has been the oldest, or the process has last said that it gets on. */
    synchronized Optional<Long> handledSinceNanos() {
        return sent.isEmpty() ? Optional.empty() : Optional.of(handledSinceNanos);
    }

    /** KCL skips a batch whose processor throws, so an interrupt must not end the wait; it is passed on after it. */
    private void waitUntil(BooleanSupplier condition) {
        boolean interrupted = false;
        while (!condition.getAsBoolean()) {
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
