package recordprocessor;

import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeDefinition;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.KeySchemaElement;
import software.amazon.awssdk.services.dynamodb.model.KeyType;
import software.amazon.awssdk.services.dynamodb.model.ResourceInUseException;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.ScalarAttributeType;
import software.amazon.awssdk.services.dynamodb.model.TableStatus;

/**
 * KCL's table {@code <application>-CoordinatorState}, in which this application also remembers, with one row for each
 * table, which stream of it is being read, and for each host, that it lives.
 *
 * <p>It is made here, before KCL looks for it, because KCL would then ask only every 20 s whether it is ready.
 */
final class StateTable implements HostRows {
    private static final Logger log = LoggerFactory.getLogger(StateTable.class);

    private static final String KEY = "key";
    private static final String STREAM_ROW = "RecordProcessor.Stream/";
    private static final String STREAM_ARN = "streamArn";
    private static final String LEASE_TABLE_ROW = "RecordProcessor.LeaseTable/";
    private static final String HOST_ROW = "RecordProcessor.Host/";
    private static final String BEAT = "beat";
    private static final String START_ID = "startId";
    private static final String START_MILLIS = "startMillis";
    private static final String BY_US = START_ID + " = :id";
    private static final String POSITION = "position";
    private static final String FIRST_START = "firstStart";
    private static final long READY_POLL_MILLIS = 500;
    private static final long READY_TIMEOUT_MILLIS = 180_000;

    private final DynamoDbAsyncClient dynamoDB;
    private final String name;

    /**
     * The stream of a table that is being read, and where a shard without a checkpoint is begun.
     *
     * @param firstStart the second of the application's first start, if that is at LATEST; those of earlier versions of
     *     this package did not remember it
     */
    record Stream(String arn, String position, Optional<Instant> firstStart) {
        boolean isLatestOfOldVersion() {
            return position.equals("LATEST") && firstStart.isEmpty();
        }
    }

    StateTable(Settings settings, AwsClients aws) {
        this.dynamoDB = aws.dynamoDB();
        this.name = settings.stateTable();
    }

    void make() {
        createIfMissing();
        chooseLeaseTaking();
    }

    /** What is remembered of a table; nothing either before the state's own table is made. */
    Optional<Stream> stream(String tableName) {
        Map<String, AttributeValue> row = call("dynamodb:GetItem", () -> row(streamKey(tableName)));
        return row.isEmpty()
                ? Optional.empty()
                : Optional.of(new Stream(
                        row.get(STREAM_ARN).s(),
                        row.get(POSITION).s(),
                        Optional.ofNullable(row.get(FIRST_START))
                                .map(AttributeValue::s)
                                .map(Instant::parse)));
    }

    private Map<String, AttributeValue> row(Map<String, AttributeValue> key) {
        try {
            return dynamoDB.getItem(request -> request.tableName(name).key(key).consistentRead(true))
                    .join()
                    .item();
        } catch (CompletionException e) {
            if (Errors.cause(e) instanceof ResourceNotFoundException) {
                return Map.of();
            }
            throw e;
        }
    }

    /** Remembers the table's first stream. Returns whether that was done, and no other host was quicker. */
    boolean putIfAbsent(String tableName, Stream stream) {
        return putUnless(streamRow(tableName, stream), "attribute_not_exists(#key)", Map.of());
    }

    /** Remembers that there is a lease table of this name. Returns false if that was known. */
    boolean putLeaseTable(String leaseTable) {
        return putUnless(
                Map.of(KEY, AttributeValue.fromS(LEASE_TABLE_ROW + leaseTable)),
                "attribute_not_exists(#key)",
                Map.of());
    }

    /** Goes on from one stream of the table to its next; whichever host is first does it for all. */
    void replace(String tableName, Stream old, Stream next) {
        putUnless(streamRow(tableName, next), "streamArn = :old", Map.of(":old", AttributeValue.fromS(old.arn())));
    }

    @Override
    public boolean putHost(String workerId, Start start, boolean byForce) {
        Map<String, AttributeValue> row = new HashMap<>(hostKey(workerId));
        row.put(BEAT, AttributeValue.fromS(Instant.now().toString()));
        row.put(START_ID, AttributeValue.fromS(start.id()));
        row.put(START_MILLIS, AttributeValue.fromN(Long.toString(start.millis())));
        return holds(() -> dynamoDB.putItem(
                        request -> request.tableName(name).item(row).applyMutation(put -> {
                            if (!byForce) {
                                put.conditionExpression("attribute_not_exists(#key) OR " + BY_US)
                                        .expressionAttributeNames(Map.of("#key", KEY))
                                        .expressionAttributeValues(by(start));
                            }
                        }))
                .join());
    }

    @Override
    public void removeHost(String workerId, Start start) {
        holds(() -> dynamoDB.deleteItem(request -> request.tableName(name)
                        .key(hostKey(workerId))
                        .conditionExpression(BY_US)
                        .expressionAttributeValues(by(start)))
                .join());
    }

    @Override
    public Map<String, HostRow> hosts() {
        Map<String, HostRow> hosts = new HashMap<>();
        dynamoDB.scanPaginator(request -> request.tableName(name).consistentRead(true))
                .items()
                .subscribe(row -> {
                    String key = row.get(KEY).s();
                    if (key.startsWith(HOST_ROW)) {
                        Start start = new Start(
                                row.get(START_ID).s(),
                                Long.parseLong(row.get(START_MILLIS).n()));
                        hosts.put(
                                key.substring(HOST_ROW.length()),
                                new HostRow(row.get(BEAT).s(), start));
                    }
                })
                .join();
        return hosts;
    }

    private static boolean holds(Runnable conditionalCall) {
        try {
            conditionalCall.run();
            return true;
        } catch (CompletionException e) {
            if (Errors.cause(e) instanceof ConditionalCheckFailedException) {
                return false;
            }
            throw e;
        }
    }

    private static Map<String, AttributeValue> by(Start start) {
        return Map.of(":id", AttributeValue.fromS(start.id()));
    }

    private static Map<String, AttributeValue> hostKey(String workerId) {
        return Map.of(KEY, AttributeValue.fromS(HOST_ROW + workerId));
    }

    /**
     * KCL 3 hands leases out through a leader, which takes 20 to 120 s whenever it has to be found anew. In its mode
     * for a fleet of KCL 2 workers each host takes leases by itself, at once. The row is what keeps it in that mode:
     * without it, KCL goes over to the leader after some ten minutes (KCL, MigrationStateMachineImpl). An application
     * that already runs in another mode keeps it.
     */
    private void chooseLeaseTaking() {
        Map<String, AttributeValue> row = Map.of(
                KEY,
                AttributeValue.fromS("Migration3.0"),
                "cv",
                AttributeValue.fromS("CLIENT_VERSION_2X"),
                "mb",
                AttributeValue.fromS("record_processor"),
                "mts",
                AttributeValue.fromN(Long.toString(System.currentTimeMillis())));
        putUnless(row, "attribute_not_exists(#key)", Map.of());
    }

    private boolean putUnless(Map<String, AttributeValue> row, String condition, Map<String, AttributeValue> values) {
        return call(
                "dynamodb:PutItem",
                () -> holds(() -> dynamoDB.putItem(request -> request.tableName(name)
                                .item(row)
                                .conditionExpression(condition)
                                .expressionAttributeNames(condition.contains("#key") ? Map.of("#key", KEY) : null)
                                .expressionAttributeValues(values.isEmpty() ? null : values))
                        .join()));
    }

    private void createIfMissing() {
        if (call("dynamodb:DescribeTable", this::status).isEmpty()) {
            log.info("making the table {}", name);
            call("dynamodb:CreateTable", this::create);
        }
        long deadline = System.currentTimeMillis() + READY_TIMEOUT_MILLIS;
        while (call("dynamodb:DescribeTable", this::status)
                .filter(TableStatus.ACTIVE::equals)
                .isEmpty()) {
            if (System.currentTimeMillis() > deadline) {
                throw StartException.couldNotStart("the table " + name + " is not ACTIVE after 3 minutes", null);
            }
            Pause.millis(READY_POLL_MILLIS);
        }
    }

    private Optional<TableStatus> status() {
        try {
            return Optional.of(dynamoDB.describeTable(request -> request.tableName(name))
                    .join()
                    .table()
                    .tableStatus());
        } catch (CompletionException e) {
            if (Errors.cause(e) instanceof ResourceNotFoundException) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private Void create() {
        try {
            dynamoDB.createTable(request -> request.tableName(name)
                            .billingMode(BillingMode.PAY_PER_REQUEST)
                            .keySchema(KeySchemaElement.builder()
                                    .attributeName(KEY)
                                    .keyType(KeyType.HASH)
                                    .build())
                            .attributeDefinitions(AttributeDefinition.builder()
                                    .attributeName(KEY)
                                    .attributeType(ScalarAttributeType.S)
                                    .build()))
                    .join();
        } catch (CompletionException e) {
            if (!(Errors.cause(e) instanceof ResourceInUseException)) {
                throw e;
            }
            // Another host is making it.
        }
        return null;
    }

    private <T> T call(String action, Callable<T> call) {
        return StartCall.of(action, "table " + name, call);
    }

    private static Map<String, AttributeValue> streamKey(String tableName) {
        return Map.of(KEY, AttributeValue.fromS(STREAM_ROW + tableName));
    }

    private static Map<String, AttributeValue> streamRow(String tableName, Stream stream) {
        Map<String, AttributeValue> row = new HashMap<>(streamKey(tableName));
        row.put(STREAM_ARN, AttributeValue.fromS(stream.arn()));
        row.put(POSITION, AttributeValue.fromS(stream.position()));
        stream.firstStart().ifPresent(second -> row.put(FIRST_START, AttributeValue.fromS(second.toString())));
        return row;
    }
}
