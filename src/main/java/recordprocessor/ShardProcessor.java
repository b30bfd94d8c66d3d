package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
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
import software.amazon.kinesis.metrics.MetricsFactory;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;

/**
 * One shard, as KCL sees it: keeps the batches that KCL hands out until the shard's process has acknowledged them.
 *
 * <p>KCL goes on to the next batch as soon as {@link #processRecords} returns, and skips a batch whose processor
 * throws. So it returns when the batch is kept (for a stock program: handled), or when the shard is being given up and
 * nothing more of it will be checkpointed, and it never throws.
 */
final class ShardProcessor implements DynamoDBStreamsShardRecordProcessor {
    private static final Logger log = LoggerFactory.getLogger(ShardProcessor.class);
    private static final ExecutorService CHECKPOINT_THREADS = Background.threads("checkpoint");
    private static final long MAX_CHILD_BACKOFF_MILLIS = 5_000;
    /** The records of one message: well below the largest frame, and enough to keep a worker busy. */
    private static final long MESSAGE_BYTES = 4L * 1024 * 1024;

    private static final long LOOK_MILLIS = 20;

    private final Settings settings;
    private final StreamIdentifier stream;
    private final Leases leases;
    private final Host host;
    private final FilteredRecords filteredRecords;
    private final Consumer<ShardProcessor> onEnd;

    private final Checkpoints checkpoints = new Checkpoints();
    private final ShardStop stop = new ShardStop();
    private final Unacknowledged unacknowledged;
    private final ShardLease lease;
    private final AcknowledgedCheckpoints acknowledgedCheckpoints;
    private final ProgramRequests programRequests;
    private final WorkerRequests workerRequests;
    private final Delivery delivery;
    private final ShardWatch watch;

    private volatile InitializationInput shard;
    private volatile String streamArn;
    private volatile boolean started;
    private volatile boolean closed;
    private volatile boolean timeIsOver;
    private volatile SequenceNumber handedOut = SequenceNumber.NONE;
    private volatile List<ChildShard> childShards = List.of();

    ShardProcessor(
            Host host, StreamIdentifier stream, Leases leases, MetricsFactory metrics, Consumer<ShardProcessor> onEnd) {
        this.host = host;
        this.settings = host.settings();
        this.stream = stream;
        this.leases = leases;
        this.filteredRecords = new FilteredRecords(metrics, stream);
        this.onEnd = onEnd;
        // "All that I was given" of a stock program must not be half a batch.
        this.unacknowledged = new Unacknowledged(
                host.budget(),
                settings.maximumUnacknowledgedBytesPerShard(),
                settings.stockProgram() ? Integer.MAX_VALUE : settings.maximumUnacknowledgedRecordsPerShard(),
                settings.stockProgram() ? Long.MAX_VALUE : MESSAGE_BYTES);
        this.lease = new ShardLease(leases, checkpoints, unacknowledged::giveUp);
        SerialTasks checkpointTasks = new SerialTasks(CHECKPOINT_THREADS);
        this.acknowledgedCheckpoints = new AcknowledgedCheckpoints(
                checkpoints, unacknowledged, checkpointTasks, settings.checkpointIntervalMillis(), this::isEndUnsaid);
        this.programRequests = new ProgramRequests(checkpoints, unacknowledged);
        this.workerRequests = new WorkerRequests(
                checkpoints,
                unacknowledged,
                acknowledgedCheckpoints,
                lease,
                checkpointTasks,
                this::onBatchAcknowledged,
                this::onFatal);
        this.delivery = new Delivery(
                settings,
                stream,
                lease,
                unacknowledged,
                checkpoints,
                acknowledgedCheckpoints,
                this::onRequest,
                host.transports(),
                stop);
        this.watch = new ShardWatch(settings, lease, unacknowledged, delivery, stop);
    }

    private boolean isEndUnsaid() {
        return delivery.isEndUnsaid();
    }

    private void onBatchAcknowledged() {
        delivery.onBatchAcknowledged();
    }

    private void onFatal(Conversation from, String reason) {
        delivery.onFatal(from, reason);
    }

    private void onRequest(Conversation from, Message request) {
        if (settings.stockProgram()) {
            programRequests.onRequest(from, request);
        } else {
            workerRequests.onRequest(from, request);
        }
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input;
        streamArn = StreamNames.arn(stream);
        lease.use(MultiStreamLease.getLeaseKey(stream.serialize(), input.shardId()));
        try (MDC.MDCCloseable ignored = mdc()) {
            if (input.extendedSequenceNumber().isShardEnd()) {
                return;
            }
            log.info("reading the shard from {}", input.extendedSequenceNumber().sequenceNumber());
            started = true;
            delivery.start(input, whyStopped());
        }
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
        checkpoints.use(input.checkpointer());
        if (input.records().isEmpty()) {
            return;
        }
        try (MDC.MDCCloseable ignored = mdc()) {
            SequenceNumber last = SequenceNumber.of(
                    input.records().get(input.records().size() - 1).sequenceNumber());
            handedOut = handedOut.max(last);
            List<Batch.Kept> wanted = wanted(input.records());
            if (!wanted.isEmpty() && !unacknowledged.add(new Batch(wanted, input.millisBehindLatest()))) {
                return;
            }
            host.readAhead().handedOn(name());
            if (unacknowledged.passOver(last) && !settings.stockProgram()) {
                acknowledgedCheckpoints.onAcknowledged(true);
            }
            if (settings.stockProgram()) {
                unacknowledged.awaitUntil(() -> unacknowledged.isEmpty() || delivery.isOver());
            }
        }
    }

    /** What the shard's process gets; the filter's part is counted. */
    private List<Batch.Kept> wanted(List<DynamoDBStreamsClientRecord> records) {
        List<ReadRecord> read = records.stream().map(ReadRecord.class::cast).toList();
        int filteredOut = count(read, ReadRecord.Use.FILTERED_OUT);
        filteredRecords.add(shard.shardId(), read.size() - count(read, ReadRecord.Use.NOT_OURS), filteredOut);
        return read.stream()
                .filter(each -> each.use() == ReadRecord.Use.HANDLED)
                .map(each -> new Batch.Kept(SequenceNumber.of(each.sequenceNumber()), each.encoded()))
                .toList();
    }

    private static int count(List<ReadRecord> records, ReadRecord.Use use) {
        return (int) records.stream().filter(each -> each.use() == use).count();
    }

    private Optional<String> whyStopped() {
        return host.trimmedData().whyStopped(name());
    }

    private ShardName name() {
        return new ShardName(streamArn, shard.shardId());
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        try (MDC.MDCCloseable ignored = mdc()) {
            closed = true;
            lease.lose();
            if (started && !lease.isDraining()) {
                log.info("the lease was lost: another host has it, or it was not renewed in time");
            }
            delivery.lastRequest(LeaseLostMessage.ACTION, new LeaseLostMessage());
            end();
        }
    }

    /**
     * The child shards' leases come first: from here on a checkpoint at the last record is one at the end of the shard,
     * and what ends without children's leases ends for ever.
     */
    @Override
    public void shardEnded(ShardEndedInput input) {
        try (MDC.MDCCloseable ignored = mdc()) {
            checkpoints.use(input.checkpointer());
            if (lease.isGivenUp()) {
                throw givenUp();
            }
            createChildLeases();
            if (started) {
                programRequests.startShardEnd();
                delivery.startShardEnd();
                if (!delivery.awaitShardEnd() || handedOut.isAfter(unacknowledged.acknowledged())) {
                    throw givenUp();
                }
            }
            if (!settings.stockProgram() && checkpoints.shardEnd(lease::isGivenUp)) {
                log.info("the shard is read to its end; {} child shards", childShards.size());
                leases.takeNow();
            }
            end();
        }
    }

    /** KCL then tries again, and by then the lease is another host's. */
    private static IllegalStateException givenUp() {
        return new IllegalStateException("the shard was given up before its last batch was handled");
    }

    private void end() {
        if (started) {
            host.readAhead().forget(name());
        }
        filteredRecords.log();
        unacknowledged.clear();
        onEnd.accept(this);
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
            awaitChildren(config);
        }
    }

    /**
     * DynamoDB may list them later than it ends their parent. As long as its end is not checkpointed, whoever has the
     * lease looks for them.
     */
    private void awaitChildren(StreamConfig config) {
        for (int failures = 0; !leases.findChildren(config, shard.shardId()); failures++) {
            if (failures == 0) {
                log.info("the shard has ended, and DynamoDB does not list its child shards yet");
            }
            lease.pause(Pause.backoffMillis(failures, MAX_CHILD_BACKOFF_MILLIS));
            if (lease.isGivenUp()) {
                throw givenUp();
            }
        }
    }

    /** KCL's own graceful shutdown, which {@link Drain} does without. */
    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        checkpoints.use(input.checkpointer());
        drain();
    }

    void startDraining() {
        lease.startDraining();
    }

    /** Lets the running handler finish, has the last checkpoint made, ends the child. Blocks until that is done. */
    void drain() {
        try (MDC.MDCCloseable ignored = mdc()) {
            startDraining();
            while (settings.stockProgram() && isBatchOut()) {
                // A stock program hears nothing while it has a batch.
                Pause.millis(LOOK_MILLIS);
            }
            delivery.lastRequest(ShutdownRequestedMessage.ACTION, new ShutdownRequestedMessage());
            if (!settings.stockProgram()) {
                acknowledgedCheckpoints.storeForGood(() -> timeIsOver);
            }
            filteredRecords.log();
        }
    }

    private boolean isBatchOut() {
        Conversation child = delivery.child();
        return child != null && child.isAsked() && unacknowledged.isAnythingSent();
    }

    /** The time for draining is over. */
    void kill() {
        timeIsOver = true;
        try (MDC.MDCCloseable ignored = mdc()) {
            Conversation child = delivery.child();
            if (child != null && (child.isUsable() || child.isAsked())) {
                log.warn("a handler is still running: killed; its records are delivered again");
                child.kill();
            }
        }
    }

    String leaseKey() {
        return lease.key();
    }

    /** Why the shard is stopped by a fatal error, if it is; with the lease that goes to another host. */
    Optional<ShardStop.Stopped> stopped() {
        return lease.isLost() ? Optional.empty() : stop.stopped();
    }

    /** Called every now and then, also while KCL's thread waits. */
    void watch() {
        if (!started) {
            return;
        }
        try (MDC.MDCCloseable ignored = mdc()) {
            if (lease.isLost() && !closed && !lease.isDraining()) {
                lease.dropIfBack();
            }
            watch.look();
            if (unacknowledged.isEmpty()) {
                whyStopped().ifPresent(delivery::stop);
            }
            if (!settings.stockProgram()) {
                acknowledgedCheckpoints.tick(false);
            } else if (isAllOfTheProgramsStored()) {
                acknowledgedCheckpoints.tick(true);
            }
        }
    }

    /** What a stock program was given is for it to checkpoint; past that the filter's records are for us. */
    private boolean isAllOfTheProgramsStored() {
        return !unacknowledged.lastHandled().isAfter(checkpoints.last());
    }

    private MDC.MDCCloseable mdc() {
        return MDC.putCloseable(Logging.SHARD, shard == null ? "" : shard.shardId());
    }
}
