package recordprocessor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.DeletedStreamListProvider;
import software.amazon.kinesis.leases.HierarchicalShardSyncer;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;
import software.amazon.kinesis.leases.LeaseManagementFactory;
import software.amazon.kinesis.leases.LeaseRefresher;
import software.amazon.kinesis.leases.LeaseSerializer;
import software.amazon.kinesis.leases.dynamodb.DynamoDBMultiStreamLeaseSerializer;
import software.amazon.kinesis.leases.exceptions.DependencyException;
import software.amazon.kinesis.leases.exceptions.InvalidStateException;
import software.amazon.kinesis.leases.exceptions.ProvisionedThroughputException;
import software.amazon.kinesis.lifecycle.TaskResult;
import software.amazon.kinesis.metrics.NullMetricsFactory;

/**
 * What we do to KCL's lease table besides KCL: the table and the leases are made before the scheduler starts, because
 * KCL waits half a minute and more before each; at the end our leases are given back.
 */
final class Leases {
    /** Of leases whose keys name their stream; see {@link SourceStreams}. */
    static final LeaseSerializer SERIALIZER = new DynamoDBMultiStreamLeaseSerializer();

    private static final Logger log = LoggerFactory.getLogger(Leases.class);
    private static final long MAX_BACKOFF_MILLIS = 500;
    private static final long TABLE_POLL_SECONDS = 1;
    private static final long TABLE_TIMEOUT_SECONDS = 180;

    private final String tableName;
    private final long durationMillis;
    private final DynamoDbAsyncClient dynamoDB;
    private final LeaseCoordinator coordinator;
    private final LeaseRefresher refresher;
    private final Function<StreamConfig, TaskResult> shardSync;
    private volatile boolean stopped;

    /** @param durationMillis how long a lease lasts that is not renewed */
    Leases(
            String tableName,
            long durationMillis,
            DynamoDbAsyncClient dynamoDB,
            LeaseCoordinator coordinator,
            LeaseManagementFactory factory) {
        this.tableName = tableName;
        this.durationMillis = durationMillis;
        this.dynamoDB = dynamoDB;
        this.coordinator = coordinator;
        this.refresher = coordinator.leaseRefresher();
        this.shardSync = stream -> factory.createShardSyncTaskManager(
                        new NullMetricsFactory(), stream, new DeletedStreamListProvider())
                .callShardSyncTask();
    }

    void createTable() {
        boolean ready = StartCall.of("dynamodb:CreateTable", "lease table " + tableName, () -> {
            refresher.createLeaseTableIfNotExists();
            return refresher.waitUntilLeaseTableExists(TABLE_POLL_SECONDS, TABLE_TIMEOUT_SECONDS);
        });
        if (!ready) {
            throw StartException.couldNotStart("the lease table " + tableName + " is not ACTIVE after 3 minutes", null);
        }
    }

    /** Makes a lease for each shard of the stream that should have one; parents first, never over one that is there. */
    void createMissing(StreamConfig stream) {
        try (MDC.MDCCloseable ignored = MDC.putCloseable(Logging.QUIET, "KCL's log of what is thrown here")) {
            StartCall.of("dynamodb:DescribeStream", StreamNames.arn(stream.streamIdentifier()), () -> {
                Exception failure = shardSync.apply(stream).getException();
                if (failure != null) {
                    throw failure;
                }
                return null;
            });
        } catch (StartException e) {
            StreamsClient.NoShardsException noShards = noShards(e);
            if (noShards == null) {
                throw e;
            }
            log.warn("{}; its leases are left as they are", noShards.getMessage());
        }
    }

    /** Takes what is free now, rather than at the lease taker's next turn, up to {@code failoverTimeMillis} later. */
    synchronized void takeNow() {
        try {
            if (!stopped && coordinator.isRunning()) {
                coordinator.runLeaseTaker();
            }
        } catch (DependencyException | InvalidStateException e) {
            log.debug("leases are taken a little later", e);
        }
    }

    /** Whether every shard that the stream has, or had, was read to its end. */
    boolean isFinished(StreamConfig stream) {
        createMissing(stream);
        return ofStream(stream.streamIdentifier()).stream()
                .allMatch(lease ->
                        lease.checkpoint() != null && lease.checkpoint().isShardEnd());
    }

    /**
     * Makes the leases of a finished shard's children. The adapter (2.0.1) would make them with the lease keys of an
     * application of one stream, and fail on its own lease: see {@link ShardEnd}.
     */
    void createChildren(StreamConfig stream, List<ChildShard> children) {
        StreamIdentifier identifier = stream.streamIdentifier();
        HierarchicalShardSyncer syncer = new HierarchicalShardSyncer(true, identifier.serialize());
        try {
            for (ChildShard child : children) {
                refresher.createLeaseIfNotExists(syncer.createLeaseForChildShard(child, identifier));
            }
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            throw new IllegalStateException("cannot make the leases of the child shards", e);
        }
    }

    /** Whether this host still holds the lease, by its own clock too. */
    boolean isHeld(String leaseKey) {
        return coordinator.getCurrentlyHeldLease(leaseKey) != null;
    }

    /** What a worker has to know of the lease, or null if this host does not hold it. Waits for a renewal that runs. */
    LeaseTerms terms(String leaseKey) {
        Lease lease = coordinator.getCurrentlyHeldLease(leaseKey);
        if (lease == null || lease.lastCounterIncrementNanos() == null || lease.leaseCounter() == null) {
            return null;
        }
        long deadlineNanos = lease.lastCounterIncrementNanos() + TimeUnit.MILLISECONDS.toNanos(durationMillis);
        return new LeaseTerms(deadlineNanos, lease.leaseCounter());
    }

    /**
     * Lets go of a lease that has come back: a renewal that took long can make a lease ours again that had run out,
     * and whose work was put down. KCL then begins the shard anew, at its checkpoint, here or elsewhere.
     */
    void drop(String leaseKey) {
        Lease lease = coordinator.getCurrentlyHeldLease(leaseKey);
        if (lease != null) {
            coordinator.dropLease(lease);
        }
    }

    void stopTaking() {
        stopped = true;
        coordinator.stopLeaseTaker();
    }

    /**
     * Gives every lease back, so that another host can take it at once; KCL would leave our name in the rows. Tries
     * until it has: the caller does not wait for ever.
     *
     * <p>Which leases are ours the table says, not KCL: one that was being taken when the drain began is not in KCL's
     * memory. The coordinator's stop waits for a taker that runs, as our lock does for {@link #takeNow}.
     */
    synchronized int evictAll() {
        coordinator.stop();
        int evicted = 0;
        for (int failures = 0; ; failures++) {
            try {
                for (Lease lease : ours()) {
                    if (refresher.evictLease(lease)) {
                        evicted++;
                    }
                }
                return evicted;
            } catch (DependencyException
                    | InvalidStateException
                    | ProvisionedThroughputException
                    | CompletionException e) {
                log.warn("the leases could not be given back yet: {}", Errors.oneLine(e));
                Pause.millis(Pause.backoffMillis(failures, MAX_BACKOFF_MILLIS));
            }
        }
    }

    /** The rows that name us, as they are now: KCL's own scan may be a second behind. */
    private List<Lease> ours() {
        List<Lease> found = Collections.synchronizedList(new ArrayList<>());
        try {
            dynamoDB.scanPaginator(scan -> scan.tableName(tableName)
                            .consistentRead(true)
                            .filterExpression("leaseOwner = :us")
                            .expressionAttributeValues(
                                    Map.of(":us", AttributeValue.fromS(coordinator.workerIdentifier()))))
                    .items()
                    .subscribe(row -> found.add(SERIALIZER.fromDynamoRecord(row)))
                    .join();
        } catch (CompletionException e) {
            if (Errors.cause(e) instanceof ResourceNotFoundException) {
                // A lease table that is gone names nobody.
                return List.of();
            }
            throw e;
        }
        return found;
    }

    private List<Lease> ofStream(StreamIdentifier stream) {
        try {
            return refresher.listLeasesForStream(stream);
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            throw new IllegalStateException("cannot list the leases in " + tableName, e);
        }
    }

    private static StreamsClient.NoShardsException noShards(Throwable e) {
        for (Throwable found = e; found != null; found = found.getCause()) {
            if (found instanceof StreamsClient.NoShardsException noShards) {
                return noShards;
            }
        }
        return null;
    }
}
