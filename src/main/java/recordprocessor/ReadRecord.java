package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import java.nio.ByteBuffer;
import java.time.Instant;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.kinesis.model.EncryptionType;

/**
 * A record on its way through KCL, from where it was read to the shard's processor: it is encoded already, so that what
 * waits there is no larger than what is sent.
 */
final class ReadRecord extends DynamoDBStreamsClientRecord {
    /** KCL counts the bytes that wait by the size of a record's data, which nobody looks at. */
    private static final ByteBuffer DATA = ByteBuffer.allocate(1024 * 1024);

    private static final Slice NOTHING = Slice.of(new byte[0]);

    private final Use use;
    private final long sizeBytes;
    private final Slice encoded;

    /** What it is for. */
    enum Use {
        /** It is older than the application. */
        NOT_OURS,
        FILTERED_OUT,
        HANDLED
    }

    private ReadRecord(String sequenceNumber, Instant created, Long sizeBytes, Use use, Slice encoded) {
        super(
                sequenceNumber,
                created,
                DATA.duplicate().limit(Math.min(encoded.length(), DATA.capacity())),
                sequenceNumber,
                EncryptionType.NONE,
                0,
                null,
                false,
                null,
                null);
        this.use = use;
        this.sizeBytes = sizeBytes == null ? 0 : sizeBytes;
        this.encoded = encoded;
    }

    /** One that the shard's process gets, in these bytes. */
    static ReadRecord handled(String sequenceNumber, Instant created, Long sizeBytes, Slice encoded) {
        return new ReadRecord(sequenceNumber, created, sizeBytes, Use.HANDLED, encoded);
    }

    static ReadRecord handled(Record event, byte[] encoded) {
        return handled(
                event.dynamodb().sequenceNumber(),
                event.dynamodb().approximateCreationDateTime(),
                event.dynamodb().sizeBytes(),
                Slice.of(encoded));
    }

    /** One that counts as handled. */
    static ReadRecord passedOver(String sequenceNumber, Instant created, Long sizeBytes, Use why) {
        return new ReadRecord(sequenceNumber, created, sizeBytes, why, NOTHING);
    }

    static ReadRecord passedOver(Record event, Use why) {
        return passedOver(
                event.dynamodb().sequenceNumber(),
                event.dynamodb().approximateCreationDateTime(),
                event.dynamodb().sizeBytes(),
                why);
    }

    Use use() {
        return use;
    }

    /** Of the item's change, as DynamoDB counts it; 0 if it does not say. */
    long sizeBytes() {
        return sizeBytes;
    }

    Slice encoded() {
        return encoded;
    }
}
