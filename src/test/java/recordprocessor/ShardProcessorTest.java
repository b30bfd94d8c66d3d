package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.OperationType;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.checkpoint.ShardRecordProcessorCheckpointer;
import software.amazon.kinesis.exceptions.ThrottlingException;
import software.amazon.kinesis.leases.ShardInfo;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.JsonFriendlyRecord;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;
import software.amazon.kinesis.processor.Checkpointer;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

/** The processor over a scripted child: no process, no KCL, real messages. */
class ShardProcessorTest {
    private static final String SHARD = "shardId-00000001795477507032-8d8277c1";
    private static final String STREAM =
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970";

    private final List<Child> children = new CopyOnWriteArrayList<>();
    private final List<ExtendedSequenceNumber> checkpoints = new CopyOnWriteArrayList<>();
    private final List<RuntimeException> checkpointFailures = new CopyOnWriteArrayList<>();
    private final AtomicBoolean held = new AtomicBoolean(true);
    private final AtomicInteger dropped = new AtomicInteger();
    private final AtomicBoolean throttled = new AtomicBoolean();

    /** A child that answers each message as its script says. */
    private static final class Child implements Transport {
        private final Listener listener;
        private final BiConsumer<Child, Message> script;
        private final List<Message> seen = new CopyOnWriteArrayList<>();
        private volatile boolean dead;

        Child(Listener listener, BiConsumer<Child, Message> script) {
            this.listener = listener;
            this.script = script;
        }

        @Override
        public void send(Message message) {
            seen.add(message);
            script.accept(this, message);
        }

        void answer(String action) {
            listener.onMessage(new StatusMessage(action));
        }

        void checkpoint(String sequenceNumber) {
            listener.onMessage(new CheckpointMessage(sequenceNumber, null, null));
        }

        void die(String reason) {
            if (!dead) {
                dead = true;
                listener.onEnd(reason);
            }
        }

        List<String> records() {
            return seen.stream()
                    .filter(ProcessRecordsMessage.class::isInstance)
                    .flatMap(message -> ((ProcessRecordsMessage) message).getRecords().stream())
                    .map(JsonFriendlyRecord::getSequenceNumber)
                    .toList();
        }

        boolean saw(Class<? extends Message> type) {
            return seen.stream().anyMatch(type::isInstance);
        }

        @Override
        public void closeInput() {
            die("its input was closed");
        }

        @Override
        public void kill() {
            die("killed by the daemon");
        }

        @Override
        public boolean awaitEnd(long millis) {
            return dead;
        }

        @Override
        public long pid() {
            return 1;
        }
    }

    /** KCL's checkpointer over a table that can be throttled. */
    private ShardRecordProcessorCheckpointer checkpointer() {
        Checkpointer table = new Checkpointer() {
            @Override
            public void setCheckpoint(String lease, ExtendedSequenceNumber value, String token)
                    throws software.amazon.kinesis.exceptions.KinesisClientLibException {
                if (throttled.get()) {
                    checkpointFailures.add(new IllegalStateException("throttled"));
                    throw new ThrottlingException("slow down");
                }
                checkpoints.add(value);
            }

            @Override
            public ExtendedSequenceNumber getCheckpoint(String lease) {
                return ExtendedSequenceNumber.TRIM_HORIZON;
            }

            @Override
            public software.amazon.kinesis.checkpoint.Checkpoint getCheckpointObject(String lease) {
                throw new AssertionError();
            }

            @Override
            public void prepareCheckpoint(String lease, ExtendedSequenceNumber pending, String token) {
                throw new AssertionError();
            }

            @Override
            public void prepareCheckpoint(String lease, ExtendedSequenceNumber pending, String token, byte[] state) {
                throw new AssertionError();
            }

            @Override
            public void operation(String operation) {}

            @Override
            public String operation() {
                return "";
            }
        };
        ShardRecordProcessorCheckpointer checkpointer = new ShardRecordProcessorCheckpointer(
                new ShardInfo(SHARD, "token", List.of(), ExtendedSequenceNumber.TRIM_HORIZON), table);
        checkpointer.setInitialCheckpointValue(ExtendedSequenceNumber.TRIM_HORIZON);
        checkpointer.largestPermittedCheckpointValue(new ExtendedSequenceNumber("1000"));
        return checkpointer;
    }

    private ShardProcessor processor(String settings, List<BiConsumer<Child, Message>> scripts) {
        Transport.Factory factory = (shardId, listener) -> {
            Child child = new Child(listener, scripts.get(Math.min(children.size(), scripts.size() - 1)));
            children.add(child);
            return child;
        };
        ShardProcessor processor = new ShardProcessor(
                Settings.parse("{\"workerId\": \"w\", \"settings\": " + settings + "}"),
                StreamNames.identifier(STREAM),
                Fakes.leases(held::get, dropped::incrementAndGet),
                factory,
                ended -> {});
        processor.initialize(InitializationInput.builder()
                .shardId(SHARD)
                .extendedSequenceNumber(ExtendedSequenceNumber.TRIM_HORIZON)
                .build());
        return processor;
    }

    private DynamoDBStreamsProcessRecordsInput batch(int from, int to) {
        List<DynamoDBStreamsClientRecord> records = IntStream.rangeClosed(from, to)
                .mapToObj(n -> DynamoDBStreamsClientRecord.fromRecord(Record.builder()
                        .eventName(OperationType.INSERT)
                        .dynamodb(stream -> stream.sequenceNumber(Integer.toString(n))
                                .keys(Map.of("pk", AttributeValue.fromS("a"))))
                        .build()))
                .toList();
        return DynamoDBStreamsProcessRecordsInput.builder()
                .records(new ArrayList<>(records))
                .checkpointer(checkpointer())
                .build();
    }

    private static void good(Child child, Message message) {
        if (message instanceof InitializeMessage) {
            child.answer(InitializeMessage.ACTION);
        } else if (message instanceof ProcessRecordsMessage) {
            child.answer(ProcessRecordsMessage.ACTION);
        } else if (message instanceof ShutdownRequestedMessage) {
            child.answer(ShutdownRequestedMessage.ACTION);
        } else if (message instanceof LeaseLostMessage) {
            child.answer(LeaseLostMessage.ACTION);
        } else if (message instanceof ShardEndedMessage) {
            child.answer(ShardEndedMessage.ACTION);
        }
    }

    private static void diesOnRecords(Child child, Message message) {
        if (message instanceof ProcessRecordsMessage) {
            child.die("it ended with signal 9");
        } else {
            good(child, message);
        }
    }

    private static void neverAnswersRecords(Child child, Message message) {
        if (!(message instanceof ProcessRecordsMessage)) {
            good(child, message);
        }
    }

    @Test
    void aChildThatDiesIsReplacedAndItsBatchGivenToTheNext() {
        ShardProcessor processor = processor(
                "{}",
                List.of(
                        ShardProcessorTest::diesOnRecords,
                        ShardProcessorTest::diesOnRecords,
                        ShardProcessorTest::good));
        processor.processRecords(batch(1, 3));
        assertEquals(3, children.size());
        children.forEach(child -> assertEquals(List.of("1", "2", "3"), child.records()));
    }

    @Test
    void whatWasCheckpointedInsideABatchIsNotGivenAgain() {
        ShardProcessor processor = processor(
                "{}",
                List.of(
                        (child, message) -> {
                            if (message instanceof ProcessRecordsMessage) {
                                child.checkpoint("2");
                                child.die("it ended with signal 9");
                            } else {
                                good(child, message);
                            }
                        },
                        ShardProcessorTest::good));
        processor.processRecords(batch(1, 4));
        assertEquals(List.of("3", "4"), children.get(1).records());
        assertEquals(List.of(new ExtendedSequenceNumber("2", 0L)), checkpoints);
    }

    @Test
    void anAcknowledgedBatchOfADeadChildIsCheckpointedBeforeItIsReplaced() {
        ShardProcessor processor = processor(
                "{}",
                List.of(
                        (child, message) -> {
                            if (message instanceof ProcessRecordsMessage
                                    && child.records().size() > 2) {
                                child.die("it ended with signal 9");
                            } else {
                                good(child, message);
                            }
                        },
                        ShardProcessorTest::good));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        assertEquals(List.of(new ExtendedSequenceNumber("2", 0L)), checkpoints);
        assertEquals(List.of("3", "4"), children.get(1).records());
    }

    @Test
    void aBatchOverItsTimeLimitEndsTheChildAndIsGivenToTheNext() throws Exception {
        ShardProcessor processor = processor(
                "{\"timeoutInSeconds\": 1}",
                List.of(ShardProcessorTest::neverAnswersRecords, ShardProcessorTest::good));
        Thread kcl = new Thread(() -> processor.processRecords(batch(1, 2)));
        kcl.start();
        Fakes.await("the replacement", () -> {
            processor.watch();
            return children.size() == 2;
        });
        kcl.join(20_000);
        assertFalse(kcl.isAlive());
        assertEquals(List.of("1", "2"), children.get(1).records());
    }

    @Test
    void drainingEndsABatchThatIsBlockedAndAcknowledgesNothingOfIt() throws Exception {
        ShardProcessor processor = processor("{}", List.of(ShardProcessorTest::neverAnswersRecords));
        DynamoDBStreamsProcessRecordsInput input = batch(1, 2);
        Thread kcl = new Thread(() -> processor.processRecords(input));
        kcl.start();
        Fakes.await("the batch is out", () -> children.get(0).saw(ProcessRecordsMessage.class));
        processor.drain();
        kcl.join(20_000);
        assertFalse(kcl.isAlive());
        assertTrue(checkpoints.isEmpty());
        assertTrue(children.get(0).dead);
        assertThrows(
                IllegalStateException.class,
                () -> processor.shardEnded(ShardEndedInput.builder()
                        .checkpointer(input.checkpointer())
                        .build()));
    }

    @Test
    void aLeaseThatIsLostWhileABatchIsOutTakesTheBatchFromTheChild() throws Exception {
        ShardProcessor processor = processor("{}", List.of(ShardProcessorTest::neverAnswersRecords));
        Thread kcl = new Thread(() -> processor.processRecords(batch(1, 2)));
        kcl.start();
        Fakes.await("the batch is out", () -> children.get(0).saw(ProcessRecordsMessage.class));
        held.set(false);
        processor.watch();
        kcl.join(20_000);
        assertFalse(kcl.isAlive());
        assertTrue(children.get(0).saw(LeaseLostMessage.class));
        assertEquals(0, dropped.get());
        held.set(true);
        processor.watch();
        assertEquals(1, dropped.get(), "a lease that comes back is let go: the batch was put down");
        processor.leaseLost(LeaseLostInput.builder().build());
        assertTrue(checkpoints.isEmpty());
        assertEquals(1, children.size());
    }

    @Test
    void theEndOfTheShardIsCheckpointedHoweverOftenThatIsThrottled() {
        ShardProcessor processor = processor("{}", List.of(ShardProcessorTest::good));
        DynamoDBStreamsProcessRecordsInput input = batch(1, 1);
        processor.processRecords(input);
        processor.childShards(List.of(child()));
        ShardRecordProcessorCheckpointer checkpointer = (ShardRecordProcessorCheckpointer) input.checkpointer();
        checkpointer.largestPermittedCheckpointValue(ExtendedSequenceNumber.SHARD_END);
        throttled.set(true);
        new Thread(() -> {
                    Fakes.await("three failures", () -> checkpointFailures.size() >= 3);
                    throttled.set(false);
                })
                .start();
        processor.shardEnded(
                ShardEndedInput.builder().checkpointer(checkpointer).build());
        assertTrue(children.get(0).saw(ShardEndedMessage.class));
        assertEquals(List.of(ExtendedSequenceNumber.SHARD_END), checkpoints);
    }

    @Test
    void anAnswerToARequestThatWasNotMadeChangesNothing() {
        ShardProcessor processor = processor("{}", List.of((child, message) -> {
            if (message instanceof InitializeMessage) {
                child.answer(ProcessRecordsMessage.ACTION);
                child.answer("\u001b[31m nonsense");
            }
            good(child, message);
        }));
        processor.processRecords(batch(1, 2));
        assertEquals(List.of("1", "2"), children.get(0).records());
    }

    private static software.amazon.awssdk.services.kinesis.model.ChildShard child() {
        return software.amazon.awssdk.services.kinesis.model.ChildShard.builder()
                .shardId("shardId-00000001795477999999-8d8277c2")
                .parentShards(SHARD)
                .hashKeyRange(range -> range.startingHashKey("0").endingHashKey("1"))
                .build();
    }
}
