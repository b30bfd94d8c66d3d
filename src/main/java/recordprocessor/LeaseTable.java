package recordprocessor;

import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.leases.LeaseRefresher;

/**
 * KCL's table of leases: made before the scheduler starts, because KCL would ask only every ten seconds whether it is
 * ready, and watched, because KCL would not say that it is gone.
 */
final class LeaseTable {
    private static final Logger log = LoggerFactory.getLogger(LeaseTable.class);
    private static final long POLL_SECONDS = 1;
    private static final long TIMEOUT_SECONDS = 180;
    private static final long WATCH_MILLIS = 10_000;
    private static final long GONE_REPEAT_MILLIS = 60_000;

    private final String name;
    private final DynamoDbAsyncClient dynamoDB;
    private final LeaseRefresher refresher;
    private boolean made;

    LeaseTable(Settings settings, AwsClients aws) {
        name = settings.leaseTable();
        dynamoDB = aws.dynamoDB();
        LeaseManagementConfig config = new LeaseManagementConfig(
                name, settings.applicationName(), dynamoDB, aws.streams(), settings.workerId());
        Kcl.configure(config, settings);
        refresher = config.leaseManagementFactory(Leases.SERIALIZER, true).createLeaseRefresher();
    }

    /** Makes it if there is none; it is ready later. */
    void make() {
        StartCall.of("dynamodb:CreateTable", "lease table " + name, () -> {
            made = refresher.createLeaseTableIfNotExists();
            return null;
        });
    }

    /** Waits until it is ready. If there was one that was made anew, says so: whoever deleted it may not have meant to. */
    void awaitReady(StateTable state) {
        if (!state.putLeaseTable(name) && made) {
            log.warn(
                    "the lease table {} was deleted, and with it every checkpoint: each shard is read anew from "
                            + "initialPositionInStream",
                    name);
        }
        if (!StartCall.of(
                "dynamodb:DescribeTable",
                "lease table " + name,
                () -> refresher.waitUntilLeaseTableExists(POLL_SECONDS, TIMEOUT_SECONDS))) {
            throw StartException.couldNotStart("the lease table " + name + " is not ACTIVE after 3 minutes", null);
        }
    }

    /** From now on says it if the table is deleted: KCL would only fail, and every shard stand still. */
    void watch() {
        Background.forEver("lease-table-watch", () -> {
            if (isGone()) {
                log.error(
                        "the lease table {} is gone, and with it every checkpoint: no shard is read any more. Restore it "
                                + "under this name; a restart makes an empty one, and reads each shard anew from "
                                + "initialPositionInStream",
                        name);
                return GONE_REPEAT_MILLIS;
            }
            return WATCH_MILLIS;
        });
    }

    private boolean isGone() {
        try {
            dynamoDB.describeTable(request -> request.tableName(name)).join();
        } catch (CompletionException e) {
            return Errors.cause(e) instanceof ResourceNotFoundException;
        }
        return false;
    }
}
