package recordprocessor;

import java.time.Instant;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.ShardIteratorType;
import software.amazon.awssdk.services.dynamodb.model.TableDescription;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy;
import software.amazon.kinesis.processor.MultiStreamTracker;

/**
 * Which stream of each table is being read.
 *
 * <p>When a table or its stream is made anew, the stream that the application remembers is read to its end first, and
 * only then the new one, from its beginning. KCL is always told of several streams, even of one: its lease keys then
 * carry the stream's name, so that a second table, or a table's next stream, never touches a checkpoint.
 */
final class SourceStreams implements MultiStreamTracker {
    private static final Logger log = LoggerFactory.getLogger(SourceStreams.class);
    private static final long SWITCH_CHECK_MILLIS = 1_000;

    private final AwsClients aws;
    private final StateTable state;
    private final Settings settings;
    private final RecordFilter filter;
    private final FirstStarts firstStarts;
    /** By table name. */
    private final Map<String, StateTable.Stream> current = new ConcurrentHashMap<>();

    private final Map<String, String> complaints = new ConcurrentHashMap<>();

    private SourceStreams(Host host, AwsClients aws, StateTable state) {
        this.settings = host.settings();
        this.filter = host.filter();
        this.firstStarts = host.firstStarts();
        this.aws = aws;
        this.state = state;
    }

    /** Finds every configured table's stream, or says in one line why it cannot be read. */
    static SourceStreams find(Host host, AwsClients aws, StateTable state, LeaseTable leaseTable) {
        SourceStreams streams = new SourceStreams(host, aws, state);
        streams.recall();
        Map<String, String> unknown = streams.wanted();
        unknown.keySet().removeAll(streams.current.keySet());
        streams.checkFilter();
        unknown.values().forEach(streams::checkReadable);
        Map<String, Instant> seconds = streams.firstStarts(unknown.values());
        // Only now: a mistake in the settings leaves no table behind. Both are made at the same time.
        leaseTable.make();
        state.make();
        unknown.forEach((table, arn) -> streams.remember(table, arn, Optional.ofNullable(seconds.get(arn))));
        return streams;
    }

    /** What the application reads already, and goes on with, whatever has become of the table since. */
    private void recall() {
        tables().forEach(table -> state.stream(table).ifPresent(stream -> use(table, stream)));
    }

    private void use(String table, StateTable.Stream stream) {
        current.put(table, stream);
        stream.firstStart().ifPresent(second -> firstStarts.remember(stream.arn(), second));
        if (stream.isLatestOfOldVersion()) {
            log.warn(
                    "table {}: an earlier version of this package made the first start of this application and did not"
                            + " remember when; a shard without a checkpoint begins at what is LATEST now",
                    table);
        }
    }

    /**
     * The second of the first start for each of the streams, if that is to be at LATEST; with iterators there, made
     * now, before anything slow.
     */
    private Map<String, Instant> firstStarts(Collection<String> arns) {
        Map<String, Instant> seconds = new HashMap<>();
        if (settings.startAtLatest()) {
            arns.forEach(arn -> seconds.put(arn, firstStart(arn)));
        }
        return seconds;
    }

    private Instant firstStart(String arn) {
        StreamShards listed = StartCall.of(
                "dynamodb:DescribeStream", arn, () -> aws.streams().shards(arn).orElseThrow());
        listed.open()
                .forEach(shard ->
                        firstStarts.keep(arn, shard, StartCall.of("dynamodb:GetShardIterator", arn, () -> aws.streams()
                                .dynamoDBStreams()
                                .getShardIterator(request -> request.streamArn(arn)
                                        .shardId(shard.shardId())
                                        .shardIteratorType(ShardIteratorType.LATEST))
                                .shardIterator())));
        return listed.second();
    }

    /** Makes the leases, and from then on keeps asking whether a table has a new stream. */
    void follow(Leases leases) {
        current.forEach((table, stream) -> {
            StreamConfig config = streamConfig(stream);
            leases.createAtLatest(config, firstStarts.openShards(stream.arn()));
            leases.createMissing(config);
            log.info("reading table {}, stream {}", table, stream.arn());
        });
        Background.forEver("stream-watch", () -> check(leases));
    }

    /** Returns for how long to wait before the next check, in milliseconds. */
    private long check(Leases leases) {
        long nextCheckMillis = settings.streamCheckIntervalMillis();
        try {
            for (Map.Entry<String, String> want : wanted().entrySet()) {
                if (!want.getValue().equals(current.get(want.getKey()).arn())
                        && !switchOver(leases, want.getKey(), want.getValue())) {
                    nextCheckMillis = Math.min(nextCheckMillis, SWITCH_CHECK_MILLIS);
                }
            }
            complaints.remove("check");
        } catch (StartException | CompletionException e) {
            complainOnce("check", "cannot look for new streams: " + Errors.oneLine(e));
        }
        return nextCheckMillis;
    }

    /** Whether the table's new stream could be begun, which is when its old one has been read to the end. */
    private boolean switchOver(Leases leases, String table, String newArn) {
        StateTable.Stream old = current.get(table);
        if (complaints.put(table, newArn) == null) {
            log.warn(
                    "table {} has a new stream, {}; the old one, {}, is read to its end first",
                    table,
                    newArn,
                    old.arn());
        }
        if (!leases.isFinished(streamConfig(old))) {
            return false;
        }
        state.replace(
                table,
                old,
                new StateTable.Stream(newArn, InitialPositionInStream.TRIM_HORIZON.name(), Optional.empty()));
        StateTable.Stream next = state.stream(table).orElseThrow();
        use(table, next);
        leases.createMissing(streamConfig(next));
        leases.takeNow();
        complaints.remove(table);
        log.info("reading table {}, stream {}, from its beginning; the old stream is finished", table, next.arn());
        return true;
    }

    private void remember(String table, String arn, Optional<Instant> firstStart) {
        String position = settings.startAtLatest() ? "LATEST" : "TRIM_HORIZON";
        if (!state.putIfAbsent(table, new StateTable.Stream(arn, position, firstStart))) {
            // Its first start was earlier, and what was written since is the application's.
            firstStarts.dropIterators(arn);
        }
        use(table, state.stream(table).orElseThrow());
    }

    /** The streams that are read already may be gone by now. */
    private void checkFilter() {
        if (!filter.isEmpty()) {
            current.values().forEach(stream -> viewType(stream.arn()).ifPresent(type -> check(stream.arn(), type)));
        }
    }

    private void checkReadable(String arn) {
        check(
                arn,
                viewType(arn)
                        .orElseThrow(() -> StartException.couldNotStart(
                                "no such stream: " + arn + "; check streamArn and regionName (" + settings.regionName()
                                        + ")",
                                null)));
    }

    private void check(String arn, String viewType) {
        filter.unseen(viewType).ifPresent(problem -> {
            throw StartException.configuration("stream " + arn + " cannot be filtered: " + problem);
        });
    }

    /** Of a stream, if there is one. */
    private Optional<String> viewType(String arn) {
        return StartCall.of("dynamodb:DescribeStream", arn, () -> {
            try {
                return Optional.of(String.valueOf(aws.streams()
                        .dynamoDBStreams()
                        .describeStream(request -> request.streamArn(arn).limit(1))
                        .streamDescription()
                        .streamViewTypeAsString()));
            } catch (ResourceNotFoundException e) {
                return Optional.empty();
            }
        });
    }

    /** Table name to the ARN of the stream that the table has now, or that the user asked for. */
    private Map<String, String> wanted() {
        Map<String, String> wanted = new LinkedHashMap<>();
        settings.sourceTables().forEach(table -> wanted.put(table, latestStream(table)));
        settings.streamArns().forEach(arn -> wanted.put(tableName(arn), arn));
        return wanted;
    }

    private List<String> tables() {
        return Stream.concat(
                        settings.sourceTables().stream(),
                        settings.streamArns().stream().map(SourceStreams::tableName))
                .toList();
    }

    private String latestStream(String table) {
        TableDescription description = StartCall.of("dynamodb:DescribeTable", tableArn(table), () -> describe(table));
        if (description == null) {
            complainOnce("gone " + table, "table " + table + " is gone; its stream is read to its end");
            return current.get(table).arn();
        }
        complaints.remove("gone " + table);
        boolean streaming = description.streamSpecification() != null
                && Boolean.TRUE.equals(description.streamSpecification().streamEnabled());
        if (!streaming && !current.containsKey(table)) {
            throw StartException.couldNotStart(
                    "table " + table + " has no stream; switch it on with: aws dynamodb update-table --table-name "
                            + table
                            + " --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES",
                    null);
        }
        // A stream that was switched off while we read it is still there to be finished.
        return description.latestStreamArn() == null ? current.get(table).arn() : description.latestStreamArn();
    }

    /** Null for a table that is gone, but is still being read. */
    private TableDescription describe(String table) {
        try {
            return aws.dynamoDB()
                    .describeTable(request -> request.tableName(table))
                    .join()
                    .table();
        } catch (CompletionException e) {
            if (!(Errors.cause(e) instanceof ResourceNotFoundException)) {
                throw e;
            }
            if (current.containsKey(table)) {
                return null;
            }
            throw StartException.couldNotStart(
                    "no such table: " + table + " in " + settings.regionName() + where()
                            + "; check sourceTable and regionName",
                    e);
        }
    }

    private String where() {
        return settings.dynamoDBEndpoint().map(endpoint -> " at " + endpoint).orElse("");
    }

    private String tableArn(String table) {
        return "arn:aws:dynamodb:" + settings.regionName() + ":*:table/" + table;
    }

    private void complainOnce(String about, String message) {
        if (!message.equals(complaints.put(about, message))) {
            log.warn("{}", message);
        }
    }

    /** {@code arn:aws:dynamodb:region:account:table/NAME/stream/label}. */
    static String tableName(String streamArn) {
        return streamArn.substring(streamArn.indexOf(":table/") + ":table/".length(), streamArn.indexOf("/stream/"));
    }

    /**
     * With a first start that is known, all shards are wanted: the leases of those at LATEST are made by us, and a shard
     * that appears before they are is read from its beginning. What is older is dropped: {@link FirstStarts}.
     */
    private static StreamConfig streamConfig(StateTable.Stream stream) {
        InitialPositionInStream position =
                stream.isLatestOfOldVersion() ? InitialPositionInStream.LATEST : InitialPositionInStream.TRIM_HORIZON;
        return new StreamConfig(
                StreamNames.identifier(stream.arn()), InitialPositionInStreamExtended.newInitialPosition(position));
    }

    @Override
    public List<StreamConfig> streamConfigList() {
        return current.values().stream().map(SourceStreams::streamConfig).toList();
    }

    /** KCL must never delete a stream's leases: they hold its checkpoints. */
    @Override
    public FormerStreamsLeasesDeletionStrategy formerStreamsLeasesDeletionStrategy() {
        return new FormerStreamsLeasesDeletionStrategy.NoLeaseDeletionStrategy();
    }

    /** A stream that has leases and is no longer listed, such as a finished one: nothing of it may be skipped. */
    @Override
    public StreamConfig createStreamConfig(StreamIdentifier identifier) {
        return new StreamConfig(
                identifier, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
    }
}
