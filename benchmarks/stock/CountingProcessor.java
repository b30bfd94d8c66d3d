package stock;

import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.amazonaws.services.dynamodbv2.streamsadapter.processor.DynamoDBStreamsShardRecordProcessor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;

/** Decodes nothing: writes down how many records there were, as benchmarks/handlers.py does. */
final class CountingProcessor implements DynamoDBStreamsShardRecordProcessor {
    private final Path folder = Path.of(System.getenv("BENCHMARK_FOLDER"));
    private Path file;
    private String shardId;

    @Override
    public void initialize(InitializationInput input) {
        shardId = input.shardId();
        file = folder.resolve("events-" + shardId + "-java");
        write(0);
    }

    @Override
    public void processRecords(DynamoDBStreamsProcessRecordsInput input) {
        if (!input.records().isEmpty()) {
            write(input.records().size());
        }
    }

    /** The clock is that of Python's time.monotonic_ns(). */
    private void write(int count) {
        try {
            Files.writeString(
                    file,
                    System.nanoTime() + " " + shardId + " " + count + "\n",
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {}

    @Override
    public void shardEnded(ShardEndedInput input) {
        try {
            input.checkpointer().checkpoint();
        } catch (InvalidStateException | ShutdownException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {}
}
