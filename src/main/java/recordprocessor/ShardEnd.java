package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.DynamoDBStreamsConsumerTaskFactory;
import java.util.List;
import software.amazon.kinesis.lifecycle.ConsumerTask;
import software.amazon.kinesis.lifecycle.ShardConsumer;
import software.amazon.kinesis.lifecycle.ShardConsumerArgument;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;

/**
 * The end of a shard, with a bug of the adapter (2.0.1) taken away: with several streams its shutdown task makes child
 * leases that the lease table cannot hold, and the lineage stands still. So the child shards go to our
 * {@link ShardProcessor}, which makes their leases, and the adapter is told of none.
 */
final class ShardEnd extends DynamoDBStreamsConsumerTaskFactory {
    @Override
    public ConsumerTask createShutdownTask(
            ShardConsumerArgument argument, ShardConsumer consumer, ProcessRecordsInput input) {
        if (input == null || input.childShards() == null) {
            return super.createShutdownTask(argument, consumer, input);
        }
        if (argument.shardRecordProcessor() instanceof ShardProcessor processor) {
            processor.childShards(input.childShards());
        }
        ProcessRecordsInput withoutChildren =
                input.toBuilder().childShards(List.of()).build();
        return super.createShutdownTask(argument, consumer, withoutChildren);
    }
}
