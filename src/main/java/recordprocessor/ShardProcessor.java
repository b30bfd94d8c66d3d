package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.leases.MultiStreamLease;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;

/**
 * One shard: hands its batches to a child process, and keeps a batch until the child has answered for it.
 *
 * <p>KCL goes on to the next batch as soon as {@link #processRecords} returns, and skips a batch whose processor
 * throws. So it returns when the batch is acknowledged, or when the shard is being given up and nothing more of it will
 * be checkpointed, and it never throws. A child that fails is replaced, for ever.
 */
final class ShardProcessor implements DynamoDBStreamsShardRecordProcessor {
    private static final Logger log = LoggerFactory.getLogger(ShardProcessor.class);
    private static final long MAX_REPLACE_BACKOFF_MILLIS = 30_000;
    /** How long a child has to end after its last request. */
    private static final long END_MILLIS = 2_000;
    /** How long a child has to put down a batch of a shard that another host now has. */
    private static final long LEASE_LOST_MILLIS = 5_000;

    private static final String INITIALIZE = InitializeMessage.ACTION;

    private final Settings settings;
    private final StreamIdentifier stream;
    private final Leases leases;
    private final Transport.Factory transports;
    private final Consumer<ShardProcessor> onEnd;
    private final Checkpoints checkpoints = new Checkpoints();

    private volatile InitializationInput shard;
    private volatile Conversation child;
    private volatile boolean draining;
    private volatile boolean leaseGone;
    private volatile boolean closed;
    private volatile long batchSinceNanos;
    private volatile long leaseGoneSinceNanos;
    private volatile SequenceNumber handedOut = SequenceNumber.NONE;
    private volatile SequenceNumber acknowledged = SequenceNumber.NONE;
    private volatile List<ChildShard> childShards = List.of();
    private int failures;

    ShardProcessor(
            Settings settings,
            StreamIdentifier stream,
            Leases leases,
            Transport.Factory transports,
            Consumer<ShardProcessor> onEnd) {
        this.settings = settings;
        this.stream = stream;
        this.leases = leases;
        this.transports = transports;
        this.onEnd = onEnd;
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input;
        try (MDC.MDCCloseable ignored = mdc()) {
            if (input.extendedSequenceNumber().isShardEnd()) {
                return;
            }
            log.info("reading the shard from {}", input.extendedSequenceNumber().sequenceNumber());
            try {
                // The child starts while the first records are fetched.
                startChild();
            } catch (ChildFailure e) {
                noteFailure(e);
            }
        }
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
        try (MDC.MDCCloseable ignored = mdc()) {
            checkpoints.use(input.checkpointer());
            Batch batch = new Batch(input.records(), input.millisBehindLatest());
            handedOut = handedOut.max(batch.last());
            while (!batch.isEmpty() && !isGivenUp()) {
                batch = deliver(batch);
            }
        }
    }

    /** One attempt; what is left of the batch comes back. */
    private Batch deliver(Batch batch) {
        try {
            Conversation usable = usableChild();
            batchSinceNanos = System.nanoTime();
            Conversation.Answer answer = usable.ask(ProcessRecordsMessage.ACTION, batch.message());
            if (answer == Conversation.Answer.DONE) {
                acknowledged = acknowledged.max(batch.last());
                failures = 0;
                return Batch.EMPTY;
            }
        } catch (ChildFailure e) {
            replace(e);
        } catch (RuntimeException e) {
            // KCL would skip the batch.
            log.error("a batch could not be handed over, it is tried again: {}", Errors.oneLine(e), e);
            pause(Pause.backoffMillis(failures++, MAX_REPLACE_BACKOFF_MILLIS));
        }
        return batch.after(checkpoints.last());
    }

    private Conversation usableChild() throws ChildFailure {
        Conversation current = child;
        if (current != null && current.isUsable()) {
            return current;
        }
        if (current != null && current.endedBecause() != null) {
            log.warn("the shard's process is gone ({}); another is started", current.endedBecause());
        }
        return startChild();
    }

    private Conversation startChild() throws ChildFailure {
        Conversation started = Conversation.start(shard.shardId(), transports, checkpoints);
        child = started;
        log.debug("process {} started", started.pid());
        started.ask(INITIALIZE, initializeMessage());
        return started;
    }

    private Message initializeMessage() {
        return settings.stockProgram()
                ? new InitializeMessage(shard)
                : new InitializeWorkerMessage(shard, StreamNames.arn(stream), settings.workerId());
    }

    private void replace(ChildFailure failure) {
        if (isGivenUp()) {
            return;
        }
        noteFailure(failure);
        child = null;
        checkpointAcknowledged();
        pause(Pause.backoffMillis(failures, MAX_REPLACE_BACKOFF_MILLIS));
    }

    private void noteFailure(ChildFailure failure) {
        if (!isGivenUp()) {
            failures++;
            log.error("the shard's process failed: {}; it is replaced, nothing is skipped", failure.getMessage());
        }
    }

    /** What a dead child had acknowledged and not yet checkpointed; only our workers acknowledge by their answer. */
    private void checkpointAcknowledged() {
        if (!settings.stockProgram() && acknowledged.isAfter(checkpoints.last())) {
            checkpoints.checkpoint(acknowledged.toString(), null);
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        try (MDC.MDCCloseable ignored = mdc()) {
            closed = true;
            leaseGone = true;
            if (!draining) {
                log.info("the lease went to another host");
            }
            lastRequest(LeaseLostMessage.ACTION, new LeaseLostMessage());
            onEnd.accept(this);
        }
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        try (MDC.MDCCloseable ignored = mdc()) {
            checkpoints.use(input.checkpointer());
            if (handedOut.isAfter(acknowledged)) {
                // KCL tries again, and by then the lease is another host's.
                throw new IllegalStateException("the shard was given up before its last batch was handled");
            }
            createChildLeases();
            endOfShard();
            onEnd.accept(this);
        }
    }

    /** DynamoDB Local answers with shards that are no children of this one. */
    void childShards(List<ChildShard> found) {
        childShards = found.stream()
                .filter(child -> child.parentShards().contains(shard.shardId()))
                .toList();
    }

    private void createChildLeases() {
        StreamConfig config = new StreamConfig(
                stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
        leases.createChildren(config, childShards);
        if (childShards.isEmpty()) {
            leases.createMissing(config);
        }
    }

    private void endOfShard() {
        if (!settings.stockProgram()) {
            lastRequest(ShardEndedMessage.ACTION, new ShardEndedMessage());
            if (checkpoints.shardEnd(this::isGivenUp)) {
                log.info("the shard is read to its end; {} child shards", childShards.size());
                leases.takeNow();
            }
            return;
        }
        // A stock program checkpoints the end itself, so it is asked until it has.
        while (!checkpoints.isAtShardEnd() && !isGivenUp()) {
            try {
                usableChild().ask(ShardEndedMessage.ACTION, new ShardEndedMessage());
                if (!checkpoints.isAtShardEnd()) {
                    throw new ChildFailure("it did not checkpoint the end of the shard");
                }
            } catch (ChildFailure e) {
                replace(e);
            }
            end();
        }
    }

    /** KCL's own graceful shutdown, which {@link Drain} does without. */
    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        checkpoints.use(input.checkpointer());
        drain();
    }

    void startDraining() {
        draining = true;
    }

    /** Lets the running handler finish, has the last checkpoint made, ends the child. Blocks until that is done. */
    void drain() {
        try (MDC.MDCCloseable ignored = mdc()) {
            startDraining();
            Conversation current = child;
            while (settings.stockProgram() && current != null && current.isBusy()) {
                // A stock program hears nothing while it has a batch.
                Pause.millis(20);
            }
            lastRequest(ShutdownRequestedMessage.ACTION, new ShutdownRequestedMessage());
            checkpointAcknowledged();
        }
    }

    /** The time for draining is over. */
    void kill() {
        try (MDC.MDCCloseable ignored = mdc()) {
            Conversation current = child;
            if (current != null && (current.isUsable() || current.isBusy())) {
                log.warn("a handler is still running: killed; its records are delivered again");
                current.kill();
            }
        }
    }

    /** Called every now and then, also while a batch is out: holds the limit for it, and sees a lease that is lost. */
    void watch() {
        if (leaseGone && !closed && !draining) {
            leases.drop(leaseKey());
        }
        Conversation current = child;
        if (current == null || !current.isBusy()) {
            return;
        }
        try (MDC.MDCCloseable ignored = mdc()) {
            Duration out = Duration.ofNanos(System.nanoTime() - batchSinceNanos);
            settings.batchTimeout().filter(limit -> out.compareTo(limit) > 0).ifPresent(limit -> {
                log.error(
                        "no answer for a batch within timeoutInSeconds = {}: the process is killed", limit.toSeconds());
                batchSinceNanos = System.nanoTime();
                current.kill();
            });
            if (!draining && !isLeaseHeld()) {
                onLeaseLostInBatch(current);
            }
        }
    }

    private void onLeaseLostInBatch(Conversation current) {
        if (!leaseGone) {
            leaseGone = true;
            leaseGoneSinceNanos = System.nanoTime();
            log.warn("the lease went to another host while a batch was being handled; the batch is put down");
            if (!settings.stockProgram()) {
                Background.run("lease-lost", () -> lastRequest(LeaseLostMessage.ACTION, new LeaseLostMessage()));
            }
        } else if (System.nanoTime() - leaseGoneSinceNanos
                > Duration.ofMillis(LEASE_LOST_MILLIS).toNanos()) {
            current.kill();
        }
    }

    private void lastRequest(String action, Message message) {
        Conversation current = child;
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
        end();
    }

    private void end() {
        Conversation current = child;
        if (current != null) {
            current.end(END_MILLIS);
        }
    }

    private boolean isGivenUp() {
        return draining || leaseGone;
    }

    private void pause(long millis) {
        long until = System.nanoTime() + Duration.ofMillis(millis).toNanos();
        while (!isGivenUp() && System.nanoTime() < until) {
            Pause.millis(Math.min(50, millis));
            if (!isLeaseHeld()) {
                leaseGone = true;
            }
        }
    }

    private boolean isLeaseHeld() {
        return !checkpoints.isLeaseLost() && leases.isHeld(leaseKey());
    }

    private String leaseKey() {
        return MultiStreamLease.getLeaseKey(stream.serialize(), shard.shardId());
    }

    private MDC.MDCCloseable mdc() {
        return MDC.putCloseable(Logging.SHARD, shard == null ? "" : shard.shardId());
    }
}
