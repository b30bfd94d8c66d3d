package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsGetRecordsResponseAdapter;
import com.amazonaws.services.dynamodbv2.streamsadapter.util.AmazonServiceExceptionTransformer;
import com.amazonaws.services.dynamodbv2.streamsadapter.util.KinesisMapperUtil;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.awssdk.services.kinesis.model.DescribeStreamRequest;
import software.amazon.awssdk.services.kinesis.model.DescribeStreamResponse;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorResponse;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;

/**
 * The adapter's client, which KCL takes for Kinesis, without its traps.
 *
 * <ul>
 *   <li>{@code DynamoDBStreamsShardSyncer} takes a stream that is not found for one without shards, and then deletes the
 *       leases, so the checkpoints, of all of them. A missing or empty shard list must never lead to that.
 *   <li>The adapter asks DescribeStream 50 times without a pause, whatever the error: here the SDK tries again, with
 *       its back-off.
 *   <li>Reading is for {@link ShardReads}: the adapter passes over deleted records, and takes a shard that is not found
 *       for one that has ended.
 * </ul>
 */
final class StreamsClient extends AmazonDynamoDBStreamsAdapterClient {
    private static final ExecutorService THREADS = Background.threads("streams");

    private final DynamoDbStreamsClient dynamoDBStreams;
    private final ShardReads reads;
    private final Host host;

    StreamsClient(DynamoDbStreamsClient dynamoDBStreams, Region region, ShardReads reads, Host host) {
        super(dynamoDBStreams, region);
        this.host = host;
        this.dynamoDBStreams = dynamoDBStreams;
        this.reads = reads;
    }

    /** The SDK's client underneath. */
    DynamoDbStreamsClient dynamoDBStreams() {
        return dynamoDBStreams;
    }

    /** What DescribeStream lists, on all its pages; nothing if there is no such stream. */
    Optional<StreamShards> shards(String streamArn) {
        return StreamShards.of(dynamoDBStreams, streamArn);
    }

    @Override
    public CompletableFuture<DescribeStreamResponse> describeStream(DescribeStreamRequest request) {
        return CompletableFuture.supplyAsync(() -> describe(request), THREADS);
    }

    private DescribeStreamResponse describe(DescribeStreamRequest request) {
        try {
            DescribeStreamResponse response =
                    KinesisMapperUtil.convertDynamoDBDescribeStreamResponseToKinesisDescribeStreamResponse(
                            dynamoDBStreams.describeStream(page -> page.streamArn(request.streamName())
                                    .limit(request.limit())
                                    .exclusiveStartShardId(request.exclusiveStartShardId())
                                    .overrideConfiguration(
                                            request.overrideConfiguration().orElse(null))));
            if (request.exclusiveStartShardId() == null
                    && response.streamDescription().shards().isEmpty()) {
                throw new NoShardsException(request.streamName() + " lists no shards", null);
            }
            return response;
        } catch (software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException e) {
            throw new NoShardsException(request.streamName() + " is not found", e);
        } catch (AwsServiceException e) {
            throw AmazonServiceExceptionTransformer.transformDynamoDBStreamsToKinesisDescribeStream(e);
        }
    }

    @Override
    public CompletableFuture<GetShardIteratorResponse> getShardIterator(GetShardIteratorRequest request) {
        return CompletableFuture.supplyAsync(
                () -> GetShardIteratorResponse.builder()
                        .shardIterator(reads.iterator(
                                        new ShardName(LocalArns.outside(request.streamName()), request.shardId()),
                                        request.shardIteratorTypeAsString(),
                                        request.startingSequenceNumber())
                                // The adapter takes it for the end of the shard.
                                .orElseThrow(() -> ResourceNotFoundException.builder()
                                        .message("the shard has ended")
                                        .build()))
                        .build(),
                THREADS);
    }

    @Override
    public CompletableFuture<DynamoDBStreamsGetRecordsResponseAdapter> getDynamoDBStreamsRecords(
            GetRecordsRequest request) {
        long pauseMillis = reads.pauseMillis(request);
        Executor when = pauseMillis > 0
                ? CompletableFuture.delayedExecutor(pauseMillis, TimeUnit.MILLISECONDS, THREADS)
                : THREADS;
        return CompletableFuture.supplyAsync(
                () -> reads.records(request, (shard, answer) -> new RecordsPage(answer, shard, host)), when);
    }

    /** The stream has no shard to read now; its leases stay as they are. */
    static final class NoShardsException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NoShardsException(String message, Throwable cause) {
            super(message, cause);
        }
    }
}
