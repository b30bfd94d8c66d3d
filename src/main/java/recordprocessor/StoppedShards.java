package recordprocessor;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.MultiStreamLease;

/** What the shards that are stopped by fatal errors mean for the host. */
final class StoppedShards {
    private StoppedShards() {}

    /** Whether nothing that this host holds can be handled: every shard is stopped, or waits for a parent that is. */
    static boolean areAll(Collection<Lease> held, Set<String> stoppedKeys) {
        Map<String, Lease> byKey = held.stream().collect(Collectors.toMap(Lease::leaseKey, Function.identity()));
        return !held.isEmpty() && byKey.keySet().stream().allMatch(key -> isHeldUp(key, byKey, stoppedKeys));
    }

    /** KCL begins with a shard only once its parents are read to their ends. */
    private static boolean isHeldUp(String key, Map<String, Lease> held, Set<String> stoppedKeys) {
        if (stoppedKeys.contains(key)) {
            return true;
        }
        return held.get(key) instanceof MultiStreamLease lease
                && lease.parentShardIds().stream()
                        .map(parent -> MultiStreamLease.getLeaseKey(lease.streamIdentifier(), parent))
                        .anyMatch(parent -> isHeldUp(parent, held, stoppedKeys));
    }

    /** Why the command ends, or null if no shard is stopped. */
    static StartException failure(List<ShardStop.Stopped> stopped) {
        return stopped.stream()
                .min(Comparator.comparing(ShardStop.Stopped::sinceNanos))
                .map(first -> new StartException(ExitCode.FATAL, message(stopped.size(), first), null))
                .orElse(null);
    }

    private static String message(int count, ShardStop.Stopped first) {
        String stopped = count == 1
                ? "1 shard was stopped by a fatal error, "
                : count + " shards were stopped by a fatal error, first ";
        return stopped + first.shardId() + ": " + first.reason();
    }
}
