package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsGetRecordsResponseAdapter;
import java.time.Instant;
import java.util.List;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * An answer of GetRecords as KCL takes it. The adapter's writes every record as JSON each time that KCL asks for the
 * records, which is four times.
 */
final class RecordsPage extends DynamoDBStreamsGetRecordsResponseAdapter {
    private final List<KinesisClientRecord> records;

    RecordsPage(RecordReader.Answer answer, ShardName shard, Host host) {
        super(answer.response());
        this.records = List.copyOf(answer.records());
        long bytes = answer.records().stream()
                .mapToLong(each -> each.encoded().length())
                .sum();
        if (!records.isEmpty()) {
            host.readAhead().read(shard, bytes);
        }
        host.spareMemory().read(bytes);
    }

    @Override
    public List<KinesisClientRecord> records() {
        return records;
    }

    /** The age of the last record; null if there is none. */
    @Override
    public Long millisBehindLatest() {
        if (records.isEmpty()) {
            return null;
        }
        Instant last = records.get(records.size() - 1).approximateArrivalTimestamp();
        return Math.max(0, System.currentTimeMillis() - last.toEpochMilli());
    }
}
