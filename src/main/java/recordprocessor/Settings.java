package recordprocessor;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The settings as the launcher gives them: one line of JSON, already checked against the schema in
 * {@code record_processor/settings.py}, defaults filled in.
 */
final class Settings {
    private static final long DEFAULT_FAILOVER_MILLIS = 10_000;
    private static final long DEFAULT_SHARD_BYTES = 4L * 1024 * 1024;
    private static final int DEFAULT_SHARD_RECORDS = 20_000;
    private static final long DEFAULT_BYTES = 64L * 1024 * 1024;
    private static final long DEFAULT_MINIMUM_POLL_INTERVAL_MILLIS = 250;
    private static final long DEFAULT_MAXIMUM_POLL_INTERVAL_MILLIS = 7_000;
    private static final long DEFAULT_CHECKPOINT_INTERVAL_MILLIS = 5_000;

    private final JsonNode root;
    private final JsonNode properties;

    private Settings(JsonNode root) {
        this.root = root;
        this.properties = root.path("settings");
    }

    static Settings parse(String line) {
        if (line == null) {
            throw StartException.configuration(
                    "the launcher gave no settings; start it with: record-processor run FILE");
        }
        try {
            return new Settings(new ObjectMapper().readTree(line));
        } catch (JsonProcessingException e) {
            throw StartException.configuration("the launcher's settings are not JSON: " + e.getOriginalMessage());
        }
    }

    String logLevel() {
        return root.path("logLevel").asText("info").toUpperCase(Locale.ROOT);
    }

    String workerId() {
        return root.path("workerId").asText();
    }

    /** The argv of a shard's child process. */
    List<String> command() {
        return strings(root.path("command"));
    }

    /** Where our workers connect; without one they are children, spoken to over standard input and output. */
    Optional<Path> socket() {
        return root.path("socket").isTextual()
                ? Optional.of(Path.of(root.path("socket").asText()))
                : Optional.empty();
    }

    /** What a worker has to say to be let in. */
    String token() {
        return root.path("token").asText();
    }

    /** Whether the child is any program of the user's that speaks MultiLang, not our own worker. */
    boolean stockProgram() {
        return root.path("stockProgram").asBoolean();
    }

    String applicationName() {
        return text("applicationName").orElseThrow();
    }

    String leaseTable() {
        return text("tableName").orElse(applicationName());
    }

    String stateTable() {
        return text("coordinatorStateTableName").orElse(applicationName() + "-CoordinatorState");
    }

    List<String> sourceTables() {
        return strings(properties.path("sourceTable"));
    }

    List<String> streamArns() {
        return strings(properties.path("streamArn"));
    }

    String regionName() {
        return text("regionName").orElseThrow();
    }

    Optional<URI> dynamoDBEndpoint() {
        return text("dynamoDBEndpoint").map(URI::create);
    }

    boolean startAtLatest() {
        return text("initialPositionInStream").orElse("TRIM_HORIZON").equals("LATEST");
    }

    long shutdownGraceMillis() {
        return properties.path("shutdownGraceMillis").asLong();
    }

    /** Whether a shard is read on behind records that DynamoDB deleted before they were read. */
    boolean skipTrimmedData() {
        return text("onTrimmedData").orElse("fail").equals("skip");
    }

    long streamCheckIntervalMillis() {
        return properties.path("streamCheckIntervalMillis").asLong();
    }

    long failoverTimeMillis() {
        return properties.path("failoverTimeMillis").asLong(DEFAULT_FAILOVER_MILLIS);
    }

    long maximumUnacknowledgedBytesPerShard() {
        return properties.path("maximumUnacknowledgedBytesPerShard").asLong(DEFAULT_SHARD_BYTES);
    }

    int maximumUnacknowledgedRecordsPerShard() {
        return properties.path("maximumUnacknowledgedRecordsPerShard").asInt(DEFAULT_SHARD_RECORDS);
    }

    long maximumUnacknowledgedBytes() {
        return properties.path("maximumUnacknowledgedBytes").asLong(DEFAULT_BYTES);
    }

    long minimumPollIntervalMillis() {
        return pollIntervalMillis("minimumPollIntervalMillis", DEFAULT_MINIMUM_POLL_INTERVAL_MILLIS);
    }

    long maximumPollIntervalMillis() {
        return pollIntervalMillis("maximumPollIntervalMillis", DEFAULT_MAXIMUM_POLL_INTERVAL_MILLIS);
    }

    /** KCL's own property, if it is given, is both. */
    private long pollIntervalMillis(String name, long otherwise) {
        return properties
                .path("idleTimeBetweenReadsInMillis")
                .asLong(properties.path(name).asLong(otherwise));
    }

    long checkpointIntervalMillis() {
        return properties.path("checkpointIntervalMillis").asLong(DEFAULT_CHECKPOINT_INTERVAL_MILLIS);
    }

    /** Lambda's JSON. */
    Optional<String> filterCriteria() {
        return text("filterCriteria");
    }

    /** Paths to attributes; empty if it does not matter which changed. */
    List<String> changedAttributes() {
        return strings(properties.path("changedAttributes"));
    }

    /** The limit for one batch, if the user set one. */
    Optional<Duration> batchTimeout() {
        JsonNode seconds = properties.path("timeoutInSeconds");
        return seconds.isNumber() ? Optional.of(Duration.ofSeconds(seconds.asLong())) : Optional.empty();
    }

    Optional<String> text(String name) {
        JsonNode value = properties.path(name);
        return value.isMissingNode() || value.isNull() ? Optional.empty() : Optional.of(value.asText());
    }

    List<String> list(String name) {
        return strings(properties.path(name));
    }

    void ifLong(String name, Consumer<Long> use) {
        if (properties.path(name).isNumber()) {
            use.accept(properties.path(name).asLong());
        }
    }

    void ifInt(String name, Consumer<Integer> use) {
        if (properties.path(name).isNumber()) {
            use.accept(properties.path(name).asInt());
        }
    }

    void ifBoolean(String name, Consumer<Boolean> use) {
        if (properties.path(name).isBoolean()) {
            use.accept(properties.path(name).asBoolean());
        }
    }

    private static List<String> strings(JsonNode array) {
        List<String> values = new ArrayList<>();
        array.forEach(value -> values.add(value.asText()));
        return values;
    }
}
