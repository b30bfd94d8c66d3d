package stock;

import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.util.List;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.ShardRecordProcessor;

/** One of the multilang library's record processors, as the adapter wants it. */
record ForAdapter(ShardRecordProcessor program) implements DynamoDBStreamsShardRecordProcessor {
    @Override
    public void initialize(InitializationInput input) {
        program.initialize(input);
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
        program.processRecords(ProcessRecordsInput.builder()
                .records(List.copyOf(input.records()))
                .checkpointer(input.checkpointer())
                .cacheEntryTime(input.cacheEntryTime())
                .cacheExitTime(input.cacheExitTime())
                .isAtShardEnd(input.isAtShardEnd())
                .millisBehindLatest(input.millisBehindLatest())
                .childShards(input.childShards())
                .build());
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        program.leaseLost(input);
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        program.shardEnded(input);
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        program.shutdownRequested(input);
    }
}
