package recordprocessor;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/**
 * Calls GetRecords, and makes of each record what the shard's process gets, or passes it over. A filter looks at the
 * SDK's objects, and a program on standard input gets what KCL makes of them; without either they are never made.
 */
final class RecordReader {
    private final DynamoDbStreamsClient dynamoDBStreams;
    private final FirstStarts firstStarts;
    private final RecordFilter filter;
    private final Transport.Factory transports;

    RecordReader(
            DynamoDbStreamsClient dynamoDBStreams,
            FirstStarts firstStarts,
            RecordFilter filter,
            Transport.Factory transports) {
        this.dynamoDBStreams = dynamoDBStreams;
        this.firstStarts = firstStarts;
        this.filter = filter;
        this.transports = transports;
    }

    /** An answer: its records, and the SDK's part of it, which may have none. */
    record Answer(GetRecordsResponse response, List<ReadRecord> records) {}

    Answer read(GetRecordsRequest request, String streamArn) {
        Predicate<Instant> isOlder = created -> firstStarts.isOlder(created, streamArn);
        Optional<TakenRecords> taking = transports.takesMessagePack() && filter.isEmpty()
                ? Optional.of(new TakenRecords(isOlder))
                : Optional.empty();
        GetRecordsResponse response = dynamoDBStreams.getRecords(
                taking.map(taken -> taken.from(request)).orElse(request));
        return taking.flatMap(TakenRecords::records)
                .map(records -> new Answer(response, records))
                .orElseGet(() -> answer(response, streamArn));
    }

    /** One whose records the SDK has made objects of. */
    Answer answer(GetRecordsResponse response, String streamArn) {
        return new Answer(
                response,
                response.records().stream().map(event -> read(event, streamArn)).toList());
    }

    private ReadRecord read(Record event, String streamArn) {
        if (firstStarts.isOlder(event.dynamodb().approximateCreationDateTime(), streamArn)) {
            return ReadRecord.passedOver(event, ReadRecord.Use.NOT_OURS);
        }
        if (!filter.passes(event, streamArn)) {
            return ReadRecord.passedOver(event, ReadRecord.Use.FILTERED_OUT);
        }
        return ReadRecord.handled(event, transports.encode(event));
    }
}
