package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import java.util.concurrent.CompletableFuture;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.awssdk.services.kinesis.model.DescribeStreamRequest;
import software.amazon.awssdk.services.kinesis.model.DescribeStreamResponse;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;

/**
 * The adapter's client, which KCL takes for Kinesis, without one of its traps: the adapter's
 * {@code DynamoDBStreamsShardSyncer} takes a stream that is not found for one without shards, and then deletes the
 * leases, so the checkpoints, of all of them. A missing or empty shard list must never lead to that.
 */
final class StreamsClient extends AmazonDynamoDBStreamsAdapterClient {
    private final DynamoDbStreamsClient dynamoDBStreams;

    StreamsClient(DynamoDbStreamsClient dynamoDBStreams, Region region) {
        super(dynamoDBStreams, region);
        this.dynamoDBStreams = dynamoDBStreams;
    }

    /** The SDK's client underneath. */
    DynamoDbStreamsClient dynamoDBStreams() {
        return dynamoDBStreams;
    }

    @Override
    public CompletableFuture<DescribeStreamResponse> describeStream(DescribeStreamRequest request) {
        return super.describeStream(request).handle((response, failure) -> {
            if (failure != null && Errors.cause(failure) instanceof ResourceNotFoundException) {
                throw new NoShardsException(request.streamName() + " is not found", failure);
            }
            if (failure != null) {
                throw failure instanceof RuntimeException e ? e : new IllegalStateException(failure);
            }
            if (request.exclusiveStartShardId() == null
                    && response.streamDescription().shards().isEmpty()) {
                throw new NoShardsException(request.streamName() + " lists no shards", null);
            }
            return response;
        });
    }

    /** The stream has no shard to read now; its leases stay as they are. */
    static final class NoShardsException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NoShardsException(String message, Throwable cause) {
            super(message, cause);
        }
    }
}
