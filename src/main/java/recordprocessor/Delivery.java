package recordprocessor;

import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;

/**
 * Sends one shard's records to its process, in a thread of its own, and replaces a process that fails, for ever.
 *
 * <p>It goes on until the shard is read to its end, given up or stopped by a fatal error. Whoever gives it up says the last words to the process:
 * {@link #lastRequest}.
 */
final class Delivery implements Conversation.Listener {
    private static final Logger log = LoggerFactory.getLogger(Delivery.class);
    private static final long MAX_REPLACE_BACKOFF_MILLIS = 30_000;
    /** How long a process has to end after its last request. */
    private static final long END_MILLIS = 2_000;

    private final Settings settings;
    private final StreamIdentifier stream;
    private final ShardLease lease;
    private final Unacknowledged unacknowledged;
    private final Checkpoints checkpoints;
    private final AcknowledgedCheckpoints acknowledgedCheckpoints;
    private final BiConsumer<Conversation, Message> requests;
    private final Transport.Factory transports;
    private final ShardStop stop;
    /** Of the thread that sends. */
    private final Crashes crashes = new Crashes();

    private final AtomicInteger failures = new AtomicInteger();
    /** Held while the last words are said: whoever comes second finds nothing left to say. */
    private final Object lastWords = new Object();

    private volatile InitializationInput shard;
    private volatile boolean atShardEnd;
    private volatile boolean shardEndSaid;
    private volatile boolean over;
    private Conversation child;

    Delivery(
            Settings settings,
            StreamIdentifier stream,
            ShardLease lease,
            Unacknowledged unacknowledged,
            Checkpoints checkpoints,
            AcknowledgedCheckpoints acknowledgedCheckpoints,
            BiConsumer<Conversation, Message> requests,
            Transport.Factory transports,
            ShardStop stop) {
        this.settings = settings;
        this.stream = stream;
        this.lease = lease;
        this.unacknowledged = unacknowledged;
        this.checkpoints = checkpoints;
        this.acknowledgedCheckpoints = acknowledgedCheckpoints;
        this.requests = requests;
        this.transports = transports;
        this.stop = stop;
    }

    /**
     * The process starts while the first records are fetched.
     *
     * @param whyStopped if nothing of the shard can be read
     */
    void start(InitializationInput input, Optional<String> whyStopped) {
        shard = input;
        whyStopped.ifPresent(reason -> stop.stop(input.shardId(), reason));
        Background.run("delivery-" + input.shardId(), this::run);
    }

    private void run() {
        try (MDC.MDCCloseable ignored = MDC.putCloseable(Logging.SHARD, shard.shardId())) {
            while (goesOn()) {
                converseWithOne();
            }
            if (stop.isStopped()) {
                unacknowledged.awaitUntil(lease::isGivenUp);
            }
        } finally {
            over = true;
            unacknowledged.wake();
        }
    }

    private boolean goesOn() {
        return !lease.isGivenUp() && !shardEndSaid && !stop.isStopped();
    }

    private void converseWithOne() {
        try {
            Conversation started = Conversation.start(shard.shardId(), transports, this);
            log.debug("process {} started", started.pid());
            if (adopt(started)) {
                converse(started);
            } else {
                started.end(END_MILLIS);
            }
        } catch (ChildFailure e) {
            crashes.died(unacknowledged.acknowledged(), unacknowledged.firstSent(), unacknowledged.lastSent());
            replace(e);
        } catch (Throwable e) {
            // Whatever it is: this thread must not end, nor a batch be lost.
            log.error("a batch could not be handed over, it is tried again: {}", Errors.oneLine(e), e);
            Conversation current = child();
            if (current != null) {
                current.violated("the daemon could not go on with it");
            }
            replace(new ChildFailure("the daemon could not go on with it"));
        }
    }

    /** Whoever gives the shard up finds the process, or it is not begun with. */
    private synchronized boolean adopt(Conversation started) {
        if (goesOn()) {
            child = started;
        }
        return child == started;
    }

    private void converse(Conversation current) throws ChildFailure {
        current.initialize(initializeMessage());
        Batch batch = next(current);
        while (batch != null) {
            give(current, batch);
            batch = next(current);
        }
        if (goesOn() && current.isEnded()) {
            throw new ChildFailure(current.endedBecause());
        }
        if (goesOn()) {
            sayShardEnded(current);
        }
    }

    private Batch next(Conversation current) {
        return unacknowledged.next(
                () -> current.isEnded() || stop.isStopped() || (atShardEnd && unacknowledged.isEmpty()));
    }

    private Message initializeMessage() throws ChildFailure {
        return settings.stockProgram()
                ? new InitializeMessage(shard)
                : new InitializeWorkerMessage(
                        shard, StreamNames.arn(stream), settings.workerId(), leaseTerms(), suspicion());
    }

    private Crashes.Suspicion suspicion() {
        Crashes.Suspicion suspicion = crashes.suspicion(unacknowledged.acknowledged(), unacknowledged.first());
        if (suspicion.oneByOneUpTo() != null) {
            log.warn(
                    "up to record {} the process handles one by one; processes that the next record has ended so: {}",
                    suspicion.oneByOneUpTo(),
                    suspicion.attempts());
        }
        return suspicion;
    }

    private LeaseTerms leaseTerms() throws ChildFailure {
        LeaseTerms terms = lease.terms();
        if (terms == null) {
            throw new ChildFailure("the shard's lease is lost");
        }
        return terms;
    }

    private void give(Conversation current, Batch batch) throws ChildFailure {
        if (settings.stockProgram()) {
            current.askRecords(new RecordsHeader(batch.millisBehindLatest(), null), batch);
            unacknowledged.acknowledge(batch.last());
            onBatchAcknowledged();
        } else {
            current.sendRecords(new RecordsHeader(batch.millisBehindLatest(), leaseTerms()), batch);
        }
    }

    /** A process that gets on is not one that fails again and again. */
    void onBatchAcknowledged() {
        failures.set(0);
    }

    private void replace(ChildFailure failure) {
        synchronized (this) {
            if (!goesOn()) {
                return;
            }
            child = null;
        }
        log.error("the shard's process failed: {}; it is replaced, nothing is skipped", failure.getMessage());
        if (settings.stockProgram()) {
            // Inside a batch only its checkpoints say what it has handled.
            unacknowledged.acknowledge(checkpoints.last());
        } else {
            acknowledgedCheckpoints.storeNow();
        }
        unacknowledged.rewind();
        lease.pause(Pause.backoffMillis(failures.incrementAndGet(), MAX_REPLACE_BACKOFF_MILLIS));
    }

    /** No more records come: once all are acknowledged the process is told so. */
    void startShardEnd() {
        atShardEnd = true;
        unacknowledged.wake();
    }

    /** Returns whether the process was told of the end of the shard before that was given up. */
    boolean awaitShardEnd() {
        unacknowledged.awaitUntil(() -> over || lease.isGivenUp());
        return shardEndSaid;
    }

    /** Whether what is acknowledged is the whole shard, whose end the process has not been told of. */
    boolean isEndUnsaid() {
        return atShardEnd && !shardEndSaid && unacknowledged.isEmpty();
    }

    private void sayShardEnded(Conversation current) throws ChildFailure {
        if (!settings.stockProgram()) {
            lastRequest(ShardEndedMessage.ACTION, new ShardEndedMessage());
            shardEndSaid = !stop.isStopped();
            return;
        }
        // A stock program checkpoints the end itself, so one after the other is asked until it has.
        synchronized (lastWords) {
            try {
                current.ask(ShardEndedMessage.ACTION, new ShardEndedMessage());
                if (!checkpoints.isAtShardEnd()) {
                    throw new ChildFailure("it did not checkpoint the end of the shard");
                }
                shardEndSaid = true;
            } finally {
                current.end(END_MILLIS);
            }
        }
    }

    /** The user's handler says that the shard must not be handled on, here. Called by the thread that hears it. */
    void onFatal(Conversation from, String reason) {
        stop(Optional.of(from), Text.clean(reason));
    }

    /** The shard cannot be read on; what was read of it is handled. */
    void stop(String reason) {
        stop(Optional.ofNullable(child()), reason);
    }

    /** Nothing more is sent, nobody replaces the process, and the end of the shard waits. */
    private void stop(Optional<Conversation> from, String reason) {
        if (!lease.isLost() && stop.stop(shard.shardId(), reason)) {
            unacknowledged.wake();
            Background.run("stopped-" + shard.shardId(), () -> endStopped(from));
        }
    }

    private void endStopped(Optional<Conversation> stopped) {
        try (MDC.MDCCloseable ignored = MDC.putCloseable(Logging.SHARD, shard.shardId())) {
            synchronized (lastWords) {
                stopped.ifPresent(process -> process.end(END_MILLIS));
                synchronized (this) {
                    child = null;
                }
            }
            acknowledgedCheckpoints.storeNow();
        }
    }

    /** The last thing that is said to the process, if there is one; it then ends. */
    void lastRequest(String action, Message message) {
        synchronized (lastWords) {
            Conversation current = child();
            if (current == null) {
                return;
            }
            try {
                if (current.isUsable()) {
                    current.ask(action, message);
                }
            } catch (ChildFailure e) {
                log.warn("the shard's process failed at {}: {}", action, e.getMessage());
            }
            current.end(END_MILLIS);
        }
    }

    /** The shard's process, or null while there is none. */
    synchronized Conversation child() {
        return child;
    }

    boolean isOver() {
        return over;
    }

    @Override
    public void onRequest(Conversation from, Message request) {
        requests.accept(from, request);
    }

    @Override
    public void onEnd() {
        unacknowledged.wake();
    }
}
