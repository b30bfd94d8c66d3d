package recordprocessor;

import java.util.List;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.DeletedStreamListProvider;
import software.amazon.kinesis.leases.HierarchicalShardSyncer;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;
import software.amazon.kinesis.leases.LeaseManagementFactory;
import software.amazon.kinesis.leases.LeaseRefresher;
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
    private static final Logger log = LoggerFactory.getLogger(Leases.class);
    private static final long MAX_BACKOFF_MILLIS = 500;
    private static final long TABLE_POLL_SECONDS = 1;
    private static final long TABLE_TIMEOUT_SECONDS = 180;

    private final String tableName;
    private final LeaseCoordinator coordinator;
    private final LeaseRefresher refresher;
    private final Function<StreamConfig, TaskResult> shardSync;

    Leases(String tableName, LeaseCoordinator coordinator, LeaseManagementFactory factory) {
        this.tableName = tableName;
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
    void takeNow() {
        try {
            if (coordinator.isRunning()) {
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
        coordinator.stopLeaseTaker();
    }

    /**
     * Gives every lease back, so that another host can take it at once; KCL would leave our name in the rows. Tries
     * until it has: the caller does not wait for ever.
     */
    int evictAll() {
        List<Lease> held = List.copyOf(coordinator.getAssignments());
        coordinator.stop();
        int evicted = 0;
        for (Lease lease : held) {
            for (int failures = 0; !evict(lease.leaseKey()); failures++) {
                Pause.millis(Pause.backoffMillis(failures, MAX_BACKOFF_MILLIS));
            }
            evicted++;
        }
        return evicted;
    }

    private boolean evict(String leaseKey) {
        try {
            Lease row = refresher.getLease(leaseKey);
            boolean isOurs = row != null && coordinator.workerIdentifier().equals(row.leaseOwner());
            return !isOurs || refresher.evictLease(row);
        } catch (DependencyException | InvalidStateException | ProvisionedThroughputException e) {
            log.warn("the lease {} could not be given back yet: {}", leaseKey, Errors.oneLine(e));
            return false;
        }
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
