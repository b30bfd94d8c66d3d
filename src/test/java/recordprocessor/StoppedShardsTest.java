package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.MultiStreamLease;

class StoppedShardsTest {
    private static final String STREAM = "123456789012:orders:1";

    private static String key(String shard) {
        return MultiStreamLease.getLeaseKey(STREAM, shard);
    }

    private static Lease lease(String shard, String... parents) {
        MultiStreamLease lease = new MultiStreamLease();
        lease.leaseKey(key(shard));
        lease.streamIdentifier(STREAM);
        lease.shardId(shard);
        lease.parentShardIds(List.of(parents));
        return lease;
    }

    @Test
    void allAreStoppedOnceNoneThatIsHeldCanGoOn() {
        assertFalse(StoppedShards.areAll(List.of(), Set.of(key("a"))));
        assertTrue(StoppedShards.areAll(List.of(lease("a")), Set.of(key("a"))));
        assertFalse(StoppedShards.areAll(List.of(lease("a"), lease("b")), Set.of(key("a"))));
        assertTrue(StoppedShards.areAll(List.of(lease("a"), lease("b")), Set.of(key("a"), key("b"))));
        assertFalse(StoppedShards.areAll(List.of(lease("b")), Set.of(key("a"))), "a's lease went to another host");
    }

    @Test
    void whatWaitsForAParentThatIsStoppedIsStoppedToo() {
        List<Lease> held = List.of(lease("a"), lease("child", "a"), lease("grandchild", "child"));
        assertTrue(StoppedShards.areAll(held, Set.of(key("a"))));
        assertFalse(StoppedShards.areAll(List.of(lease("a"), lease("other", "elsewhere")), Set.of(key("a"))));
    }

    @Test
    void theCommandsLastWordsNameTheFirstOfThem() {
        assertNull(StoppedShards.failure(List.of()));
        ShardStop.Stopped first = new ShardStop.Stopped("shardId-1", "no such table", 10);
        ShardStop.Stopped second = new ShardStop.Stopped("shardId-2", "no such index", 20);
        assertEquals(
                "1 shard was stopped by a fatal error, shardId-1: no such table",
                StoppedShards.failure(List.of(first)).getMessage());
        StartException failure = StoppedShards.failure(List.of(second, first));
        assertEquals("2 shards were stopped by a fatal error, first shardId-1: no such table", failure.getMessage());
        assertEquals(ExitCode.FATAL, failure.exitCode());
    }
}
