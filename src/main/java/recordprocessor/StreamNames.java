package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.util.KinesisMapperUtil;
import software.amazon.kinesis.common.StreamIdentifier;

/** A DynamoDB stream's ARN, and the name that the adapter gives it towards KCL. */
final class StreamNames {
    private StreamNames() {}

    /** {@code account:region$account$table$label:1}; every lease key of the stream begins with it. */
    static StreamIdentifier identifier(String streamArn) {
        return StreamIdentifier.multiStreamInstance(
                KinesisMapperUtil.createKinesisStreamIdentifierFromDynamoDBStreamsArn(
                        LocalArns.inside(streamArn), true));
    }

    static String arn(StreamIdentifier identifier) {
        return LocalArns.outside(
                KinesisMapperUtil.createDynamoDBStreamsArnFromKinesisStreamName(identifier.streamName()));
    }
}
