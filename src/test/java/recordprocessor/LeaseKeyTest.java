package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import com.amazonaws.services.dynamodbv2.streamsadapter.DynamoDBStreamsShardSyncer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.HashKeyRange;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.leases.Lease;
import software.amazon.kinesis.leases.LeaseCoordinator;
import software.amazon.kinesis.leases.LeaseRefresher;
import software.amazon.kinesis.leases.MultiStreamLease;

/** Lease keys are for ever: checkpoints are found by them. */
class LeaseKeyTest {
    private static final StreamIdentifier STREAM = StreamNames.identifier(
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970");
    private static final ChildShard CHILD = ChildShard.builder()
            .shardId("shardId-00000001795477507099-00000002")
            .parentShards("shardId-00000001795477507032-00000001")
            .hashKeyRange(HashKeyRange.builder()
                    .startingHashKey("0")
                    .endingHashKey("1")
                    .build())
            .build();
    private static final String KEY = "123456789012:eu-west-1$123456789012$orders$2026-11-23T23_45_06.970:1:"
            + "shardId-00000001795477507099-00000002";

    @Test
    void aLeaseKeyNamesTheStreamAlsoWhenThereIsOnlyOne() {
        assertEquals(KEY, MultiStreamLease.getLeaseKey(STREAM.serialize(), CHILD.shardId()));
        assertEquals(
                "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970",
                StreamNames.arn(STREAM));
    }

    @Test
    void dynamoDBLocalsStreamKeepsItsNameOutside() {
        String local = "arn:aws:dynamodb:ddblocal:000000000000:table/orders/stream/2026-11-23T23:45:06.970";
        assertEquals(local, StreamNames.arn(StreamNames.identifier(local)));
    }

    /** When this fails, the adapter has mended it (2.1.1 did), and ShardEnd can go. */
    @Test
    void theAdapterMakesAChildsLeaseThatSeveralStreamsCannotHold() throws Exception {
        Lease lease =
                new DynamoDBStreamsShardSyncer(true, STREAM.serialize(), true).createLeaseForChildShard(CHILD, STREAM);
        assertFalse(lease instanceof MultiStreamLease);
    }

    @Test
    void oursHoldsItAndStartsAtTheChildsBeginning() {
        List<Lease> made = new CopyOnWriteArrayList<>();
        LeaseRefresher refresher = (LeaseRefresher) java.lang.reflect.Proxy.newProxyInstance(
                getClass().getClassLoader(), new Class<?>[] {LeaseRefresher.class}, (proxy, method, arguments) -> {
                    assertEquals("createLeaseIfNotExists", method.getName());
                    return made.add((Lease) arguments[0]);
                });
        LeaseCoordinator coordinator = Fakes.only(LeaseCoordinator.class, Map.of("leaseRefresher", () -> refresher));
        StreamConfig stream = new StreamConfig(
                STREAM, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.LATEST));
        new Leases("leases", 10_000, null, coordinator, null, null).createChildren(stream, List.of(CHILD));
        assertInstanceOf(MultiStreamLease.class, made.get(0));
        assertEquals(KEY, made.get(0).leaseKey());
        assertEquals("TRIM_HORIZON", made.get(0).checkpoint().sequenceNumber());
    }
}
