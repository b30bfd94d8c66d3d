package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import java.util.List;
import software.amazon.kinesis.multilang.messages.JsonFriendlyRecord;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;

/** Records of one fetch that are not acknowledged yet, in order. */
record Batch(List<DynamoDBStreamsClientRecord> records, Long millisBehindLatest) {
    static final Batch EMPTY = new Batch(List.of(), null);

    boolean isEmpty() {
        return records.isEmpty();
    }

    SequenceNumber last() {
        return isEmpty()
                ? SequenceNumber.NONE
                : SequenceNumber.of(records.get(records.size() - 1).sequenceNumber());
    }

    /** What comes after a checkpoint that was made inside the batch. */
    Batch after(SequenceNumber checkpoint) {
        return new Batch(
                records.stream()
                        .filter(record ->
                                SequenceNumber.of(record.sequenceNumber()).isAfter(checkpoint))
                        .toList(),
                millisBehindLatest);
    }

    ProcessRecordsMessage message() {
        ProcessRecordsMessage message = new ProcessRecordsMessage();
        message.setRecords(records.stream()
                .map(JsonFriendlyRecord::fromKinesisClientRecord)
                .toList());
        message.setMillisBehindLatest(millisBehindLatest);
        return message;
    }
}
