package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsGetRecordsResponseAdapter;
import java.util.List;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * An answer of GetRecords as KCL takes it. The adapter's writes every record as JSON each time that KCL asks for the
 * records, which is four times.
 */
final class RecordsPage extends DynamoDBStreamsGetRecordsResponseAdapter {
    private final List<KinesisClientRecord> records;

    RecordsPage(GetRecordsResponse response, ShardName shard, Host host) {
        super(response);
        List<ReadRecord> read = response.records().stream()
                .map(event -> read(event, shard.streamArn(), host))
                .toList();
        this.records = List.copyOf(read);
        long bytes = read.stream().mapToLong(each -> each.encoded().length).sum();
        if (!read.isEmpty()) {
            host.readAhead().read(shard, bytes);
        }
        host.spareMemory().read(bytes);
    }

    private static ReadRecord read(Record event, String streamArn, Host host) {
        if (host.firstStarts().isOlder(event, streamArn)) {
            return ReadRecord.passedOver(event, ReadRecord.Use.NOT_OURS);
        }
        if (!host.filter().passes(event, streamArn)) {
            return ReadRecord.passedOver(event, ReadRecord.Use.FILTERED_OUT);
        }
        return ReadRecord.handled(event, host.transports().encode(event));
    }

    @Override
    public List<KinesisClientRecord> records() {
        return records;
    }
}
