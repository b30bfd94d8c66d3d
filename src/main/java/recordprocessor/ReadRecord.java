package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import java.nio.ByteBuffer;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.kinesis.model.EncryptionType;

/**
 * A record on its way through KCL, from where it was read to the shard's processor: it is encoded already, so that what
 * waits there is no larger than what is sent.
 */
final class ReadRecord extends DynamoDBStreamsClientRecord {
    /** KCL counts the bytes that wait by the size of a record's data, which nobody looks at. */
    private static final ByteBuffer DATA = ByteBuffer.allocate(1024 * 1024);

    private static final byte[] NOTHING = {};

    private final Use use;
    private final byte[] encoded;

    /** What it is for. */
    enum Use {
        /** It is older than the application. */
        NOT_OURS,
        FILTERED_OUT,
        HANDLED
    }

    private ReadRecord(Record event, Use use, byte[] encoded) {
        super(
                event.dynamodb().sequenceNumber(),
                event.dynamodb().approximateCreationDateTime(),
                DATA.duplicate().limit(Math.min(encoded.length, DATA.capacity())),
                event.dynamodb().sequenceNumber(),
                EncryptionType.NONE,
                0,
                null,
                false,
                null,
                null);
        this.use = use;
        this.encoded = encoded;
    }

    /** One that the shard's process gets, in these bytes. */
    static ReadRecord handled(Record event, byte[] encoded) {
        return new ReadRecord(event, Use.HANDLED, encoded);
    }

    /** One that counts as handled. */
    static ReadRecord passedOver(Record event, Use why) {
        return new ReadRecord(event, why, NOTHING);
    }

    Use use() {
        return use;
    }

    byte[] encoded() {
        return encoded;
    }
}
