package recordprocessor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.kinesis.common.HashKeyRangeForLease;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.DeletedStreamListProvider;
import software.amazon.kinesis.leases.HierarchicalShardSyncer;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;
import software.amazon.kinesis.leases.LeaseManagementFactory;
import software.amazon.kinesis.leases.LeaseRefresher;
import software.amazon.kinesis.leases.LeaseSerializer;
import software.amazon.kinesis.leases.MultiStreamLease;
import software.amazon.kinesis.leases.dynamodb.DynamoDBMultiStreamLeaseSerializer;
import software.amazon.kinesis.leases.exceptions.DependencyException;
import software.amazon.kinesis.leases.exceptions.InvalidStateException;
import software.amazon.kinesis.leases.exceptions.ProvisionedThroughputException;
import software.amazon.kinesis.lifecycle.TaskResult;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

/**
 * What we do to KCL's leases besides KCL: they are made before the scheduler starts, because KCL waits half a minute and
 * more before it does so; at the end ours are given back.
 */
final class Leases {
    /** Of leases whose keys name their stream; see {@link SourceStreams}. */
    static final LeaseSerializer SERIALIZER = new DynamoDBMultiStreamLeaseSerializer();

    private static final Logger log = LoggerFactory.getLogger(Leases.class);
    private static final long MAX_BACKOFF_MILLIS = 500;

    private final String tableName;
    private final long durationMillis;
    private final DynamoDbAsyncClient dynamoDB;
    private final LeaseCoordinator coordinator;
    private final LeaseRefresher refresher;
    private final Function<StreamConfig, TaskResult> shardSync;
    private final Function<String, Optional<StreamShards>> shards;
    private volatile LongSupplier nanosUntilSilent = () -> Long.MAX_VALUE;
    private volatile boolean stopped;

    /**
     * @param durationMillis how long a lease lasts that is not renewed
     * @param shards what DynamoDB lists of a stream, by its ARN
     */
    Leases(
            String tableName,
            long durationMillis,
            DynamoDbAsyncClient dynamoDB,
            LeaseCoordinator coordinator,
            LeaseManagementFactory factory,
            Function<String, Optional<StreamShards>> shards) {
        this.tableName = tableName;
        this.durationMillis = durationMillis;
        this.dynamoDB = dynamoDB;
        this.coordinator = coordinator;
        this.refresher = coordinator.leaseRefresher();
        this.shards = shards;
        this.shardSync = stream -> factory.createShardSyncTaskManager(
                        new NullMetricsFactory(), stream, new DeletedStreamListProvider())
                .callShardSyncTask();
    }

    /** @param nanosUntilSilent how long no other host takes our leases because we are silent, in nanoseconds */
    void use(LongSupplier nanosUntilSilent) {
        this.nanosUntilSilent = nanosUntilSilent;
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

    /** Makes the leases of shards that were open at the first start, at LATEST; never over one that is there. */
    void createAtLatest(StreamConfig stream, List<Shard> shards) {
        try {
            for (Shard shard : shards) {
                refresher.createLeaseIfNotExists(atLatest(stream.streamIdentifier(), shard));
            }
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            throw Errors.atStart("dynamodb:PutItem", "lease table " + tableName, e);
        }
    }

    private static Lease atLatest(StreamIdentifier stream, Shard shard) {
        MultiStreamLease lease = new MultiStreamLease();
        lease.leaseKey(MultiStreamLease.getLeaseKey(stream.serialize(), shard.shardId()));
        lease.streamIdentifier(stream.serialize());
        lease.shardId(shard.shardId());
        lease.parentShardIds(Optional.ofNullable(shard.parentShardId()).stream().toList());
        lease.checkpoint(ExtendedSequenceNumber.LATEST);
        lease.ownerSwitchesSinceCheckpoint(0L);
        // As the adapter has it for every shard.
        lease.hashKeyRange(HashKeyRangeForLease.deserialize("0", "1"));
        return lease;
    }

    /**
     * Looks for the child shards of a shard that has ended, and makes leases for all that are listed.
     *
     * @return whether there are some, or can be none any more: a stream that was switched off has them all
     */
    boolean findChildren(StreamConfig stream, String shardId) {
        Optional<StreamShards> listed = shards.apply(StreamNames.arn(stream.streamIdentifier()));
        createMissing(stream);
        return listed.isEmpty()
                || listed.get().listsChildOf(shardId)
                || !listed.get().mayGrow();
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

    /**
     * Takes its leases from a worker that is silent. Returns how many they were.
     *
     * @throws CompletionException if that could not be done with all
     */
    int evictAllOf(String workerId) {
        try {
            return evict(ownedBy(workerId));
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            throw new CompletionException(e);
        }
    }

    private int evict(List<Lease> leases)
            throws DependencyException, InvalidStateException, ProvisionedThroughputException {
        int evicted = 0;
        for (Lease lease : leases) {
            if (refresher.evictLease(lease)) {
                evicted++;
            }
        }
        return evicted;
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

    /** The leases that this host holds, of shards that are not read to their ends. */
    List<Lease> unfinished() {
        return coordinator.getAssignments().stream()
                .filter(lease ->
                        lease.checkpoint() == null || !lease.checkpoint().isShardEnd())
                .toList();
    }

    /** Whether this host still holds the lease, by its own clock too. */
    boolean isHeld(String leaseKey) {
        return coordinator.getCurrentlyHeldLease(leaseKey) != null && nanosUntilSilent.getAsLong() > 0;
    }

    /** What a worker has to know of the lease, or null if this host does not hold it. Waits for a renewal that runs. */
    LeaseTerms terms(String leaseKey) {
        Lease lease = coordinator.getCurrentlyHeldLease(leaseKey);
        if (lease == null || lease.lastCounterIncrementNanos() == null || lease.leaseCounter() == null) {
            return null;
        }
        long now = System.nanoTime();
        long nanosLeft = lease.lastCounterIncrementNanos() + TimeUnit.MILLISECONDS.toNanos(durationMillis) - now;
        return new LeaseTerms(now + Math.min(nanosLeft, nanosUntilSilent.getAsLong()), lease.leaseCounter());
    }

    /**
     * Lets go of a lease that has come back: a renewal that took long can make a lease ours again that had run out,
     * and whose work was put down. KCL then begins the shard anew, at its checkpoint, here or elsewhere: at once, because
     * the lease's row no longer names us.
     */
    void drop(String leaseKey) {
        Lease lease = coordinator.getCurrentlyHeldLease(leaseKey);
        if (lease != null) {
            coordinator.dropLease(lease);
            Background.later(0, () -> freeAndTake(lease));
        }
    }

    private void freeAndTake(Lease lease) {
        try {
            refresher.evictLease(lease);
            takeNow();
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            log.debug("the lease is taken a little later", e);
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
                evicted += evict(ownedBy(coordinator.workerIdentifier()));
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

    /** The rows that name a worker, as they are now: KCL's own scan may be a second behind. */
    private List<Lease> ownedBy(String workerId) {
        List<Lease> found = Collections.synchronizedList(new ArrayList<>());
        try {
            dynamoDB.scanPaginator(scan -> scan.tableName(tableName)
                            .consistentRead(true)
                            .filterExpression("leaseOwner = :owner")
                            .expressionAttributeValues(Map.of(":owner", AttributeValue.fromS(workerId))))
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
