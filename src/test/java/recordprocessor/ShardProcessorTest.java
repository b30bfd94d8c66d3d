package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.amazonaws.services.dynamodbv2.streamsadapter.model.DynamoDBStreamsProcessRecordsInput;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsResponse;
import software.amazon.awssdk.services.dynamodb.model.OperationType;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.checkpoint.ShardRecordProcessorCheckpointer;
import software.amazon.kinesis.exceptions.ThrottlingException;
import software.amazon.kinesis.leases.ShardInfo;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
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

/** The processor over scripted processes: none is real, nor is KCL; the messages are. */
class ShardProcessorTest {
    private static final String SHARD = "shardId-00000001795477507032-8d8277c1";
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String STREAM =
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970";

    private final List<Child> children = new CopyOnWriteArrayList<>();
    private final List<ExtendedSequenceNumber> checkpoints = new CopyOnWriteArrayList<>();
    private final List<RuntimeException> checkpointFailures = new CopyOnWriteArrayList<>();
    private final AtomicBoolean held = new AtomicBoolean(true);
    private final AtomicReference<Runnable> whenAskedForTheLease = new AtomicReference<>(() -> {});
    private final AtomicInteger dropped = new AtomicInteger();
    private final AtomicBoolean throttled = new AtomicBoolean();
    private final AtomicBoolean startAllowed = new AtomicBoolean(true);
    private final AtomicInteger starts = new AtomicInteger();
    private final List<List<ExtendedSequenceNumber>> endedWith = new CopyOnWriteArrayList<>();
    private final AtomicInteger encoded = new AtomicInteger();
    private Host host;
    private final ShardRecordProcessorCheckpointer checkpointer = checkpointer();

    /** A process that answers each message as its script says. */
    private static final class Child implements Transport {
        private final BiConsumer<Child, Message> script;
        private final List<Message> seen = new CopyOnWriteArrayList<>();
        private final List<LeaseTerms> terms = new CopyOnWriteArrayList<>();
        private final AtomicBoolean dead = new AtomicBoolean();
        private volatile Listener listener;

        Child(BiConsumer<Child, Message> script) {
            this.script = script;
        }

        @Override
        public void listen(Listener toTell) {
            listener = toTell;
        }

        @Override
        public void send(Message message) throws IOException {
            if (dead.get()) {
                throw new IOException("broken pipe");
            }
            seen.add(message);
            script.accept(this, message);
        }

        @Override
        public void sendRecords(RecordsHeader header, List<Slice> records) throws IOException {
            if (header.lease() != null) {
                terms.add(header.lease());
            }
            ProcessRecordsMessage message = new ProcessRecordsMessage();
            message.setRecords(records.stream()
                    .map(record -> new JsonFriendlyRecord(null, null, number(record), null, null))
                    .toList());
            send(message);
        }

        private static String number(Slice record) {
            return new String(record.array(), record.offset(), record.length(), StandardCharsets.US_ASCII).strip();
        }

        void answer(String action) {
            listener.onMessage(new StatusMessage(action));
        }

        void acknowledge(String sequenceNumber) {
            listener.onMessage(new AcknowledgeMessage(sequenceNumber));
        }

        void checkpoint(String sequenceNumber) {
            listener.onMessage(new CheckpointMessage(sequenceNumber, null, null));
        }

        void die(String reason) {
            if (dead.compareAndSet(false, true)) {
                listener.onEnd(reason);
            }
        }

        List<String> records() {
            return batches().stream().flatMap(List::stream).toList();
        }

        List<List<String>> batches() {
            return seen.stream()
                    .filter(ProcessRecordsMessage.class::isInstance)
                    .map(message -> ((ProcessRecordsMessage) message)
                            .getRecords().stream()
                                    .map(JsonFriendlyRecord::getSequenceNumber)
                                    .toList())
                    .toList();
        }

        List<String> checkpointAnswers() {
            return seen.stream()
                    .filter(CheckpointMessage.class::isInstance)
                    .map(message -> ((CheckpointMessage) message).getSequenceNumber() + " "
                            + ((CheckpointMessage) message).getError())
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
            return dead.get();
        }

        @Override
        public long pid() {
            return 1;
        }
    }

    private final class Children implements Transport.Factory {
        private final List<BiConsumer<Child, Message>> scripts;

        Children(List<BiConsumer<Child, Message>> scripts) {
            this.scripts = scripts;
        }

        @Override
        public Transport start(String shardId) {
            starts.incrementAndGet();
            Fakes.await("a child may start", startAllowed::get);
            Child child = new Child(scripts.get(Math.min(children.size(), scripts.size() - 1)));
            children.add(child);
            return child;
        }

        /** Ten bytes for each record. */
        @Override
        public byte[] encode(Record event) {
            encoded.incrementAndGet();
            return "%10s".formatted(event.dynamodb().sequenceNumber()).getBytes(StandardCharsets.US_ASCII);
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

    private ShardProcessor worker(String settings, List<BiConsumer<Child, Message>> scripts) {
        return processor(false, settings, scripts);
    }

    private ShardProcessor program(String settings, List<BiConsumer<Child, Message>> scripts) {
        return processor(true, settings, scripts);
    }

    private ShardProcessor processor(boolean stock, String settings, List<BiConsumer<Child, Message>> scripts) {
        Settings parsed = Settings.parse(
                "{\"workerId\": \"w\", \"stockProgram\": " + stock + ", \"settings\": " + settings + "}");
        host = new Host(parsed, new Children(scripts));
        ShardProcessor processor = processor(ended -> {});
        processor.initialize(InitializationInput.builder()
                .shardId(SHARD)
                .extendedSequenceNumber(ExtendedSequenceNumber.TRIM_HORIZON)
                .build());
        return processor;
    }

    /** One that is not initialized. */
    private ShardProcessor processor(Consumer<ShardProcessor> onEnd) {
        return new ShardProcessor(
                host,
                StreamNames.identifier(STREAM),
                Fakes.leases(this::isHeld, dropped::incrementAndGet),
                new NullMetricsFactory(),
                onEnd);
    }

    private boolean isHeld() {
        whenAskedForTheLease.get().run();
        return held.get();
    }

    private DynamoDBStreamsProcessRecordsInput batch(int from, int to) {
        List<Record> events = IntStream.rangeClosed(from, to)
                .mapToObj(n -> Record.builder()
                        .eventName(OperationType.INSERT)
                        .dynamodb(stream -> stream.sequenceNumber(Integer.toString(n))
                                .keys(Map.of("pk", AttributeValue.fromS("a"))))
                        .build())
                .toList();
        RecordReader reader = new RecordReader(null, host.firstStarts(), host.filter(), host.transports());
        List<DynamoDBStreamsClientRecord> records = new RecordsPage(
                        reader.answer(
                                GetRecordsResponse.builder().records(events).build(), ""),
                        new ShardName("", SHARD),
                        host)
                .records().stream().map(DynamoDBStreamsClientRecord.class::cast).toList();
        return DynamoDBStreamsProcessRecordsInput.builder()
                .records(new ArrayList<>(records))
                .checkpointer(checkpointer)
                .build();
    }

    private static void answerRequests(Child child, Message message) {
        if (message instanceof InitializeMessage) {
            child.answer(InitializeMessage.ACTION);
        } else if (message instanceof ShutdownRequestedMessage) {
            child.answer(ShutdownRequestedMessage.ACTION);
        } else if (message instanceof LeaseLostMessage) {
            child.answer(LeaseLostMessage.ACTION);
        } else if (message instanceof ShardEndedMessage) {
            child.answer(ShardEndedMessage.ACTION);
        }
    }

    /** A worker that acknowledges each batch at once. */
    private static void good(Child child, Message message) {
        if (message instanceof ProcessRecordsMessage records) {
            child.acknowledge(last(records));
        } else {
            answerRequests(child, message);
        }
    }

    private static void goodProgram(Child child, Message message) {
        if (message instanceof ProcessRecordsMessage) {
            child.answer(ProcessRecordsMessage.ACTION);
        } else {
            answerRequests(child, message);
        }
    }

    private static void diesOnRecords(Child child, Message message) {
        if (message instanceof ProcessRecordsMessage) {
            child.die("it ended with signal 9");
        } else {
            answerRequests(child, message);
        }
    }

    /** Acknowledges nothing by itself. */
    private static void silent(Child child, Message message) {
        answerRequests(child, message);
    }

    private static String last(ProcessRecordsMessage message) {
        return message.getRecords().get(message.getRecords().size() - 1).getSequenceNumber();
    }

    private static List<ExtendedSequenceNumber> at(String... numbers) {
        return Stream.of(numbers)
                .map(number -> new ExtendedSequenceNumber(number, 0L))
                .toList();
    }

    private Child child(int index) {
        Fakes.await("child " + index, () -> children.size() > index);
        return children.get(index);
    }

    private Child childWith(int index, String... records) {
        Child child = child(index);
        Fakes.await("its records", () -> child.records().equals(List.of(records)));
        return child;
    }

    private static Thread inThread(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static void awaitEnd(Thread thread) {
        Fakes.await("the end of the thread", () -> !thread.isAlive());
    }

    private static void awaitBlocked(Thread thread) {
        Fakes.await("the thread waits", () -> thread.getState() == Thread.State.WAITING);
    }

    private void endShard(ShardProcessor processor) {
        checkpointer.sequenceNumberAtShardEnd(checkpointer.largestPermittedCheckpointValue());
        checkpointer.largestPermittedCheckpointValue(ExtendedSequenceNumber.SHARD_END);
        processor.childShards(List.of(childShard()));
        processor.shardEnded(
                ShardEndedInput.builder().checkpointer(checkpointer).build());
    }

    @Test
    void severalBatchesAreOutAtOnceAndCarryTheLeasesTerms() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 3));
        processor.processRecords(batch(4, 5));
        Child child = childWith(0, "1", "2", "3", "4", "5");
        assertEquals(List.of(List.of("1", "2"), List.of("3"), List.of("4", "5")), child.batches());
        assertEquals(3, child.terms.size());
        assertEquals(Fakes.FENCING_TOKEN, child.terms.get(0).fencingToken());
        assertTrue(child.terms.get(0).deadlineNanos() - System.nanoTime() < 10_000_000_000L);
    }

    @Test
    void whatAWorkerThatDiesHadNotAcknowledgedIsGivenToTheNextAndNotEncodedAgain() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent, ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        processor.processRecords(batch(4, 5));
        Child first = childWith(0, "1", "2", "3", "4", "5");
        first.acknowledge("2");
        first.die("it ended with signal 9");
        Child second = childWith(1, "3", "4", "5");
        assertEquals(List.of(List.of("3"), List.of("4", "5")), second.batches());
        assertEquals(at("2"), checkpoints, "stored before it is replaced");
        second.acknowledge("5");
        assertEquals(5, encoded.get());
        assertEquals(2, children.size());
    }

    @Test
    void workersThatDieAreReplacedForEver() {
        ShardProcessor processor = worker(
                "{}",
                List.of(
                        ShardProcessorTest::diesOnRecords,
                        ShardProcessorTest::diesOnRecords,
                        ShardProcessorTest::good));
        processor.processRecords(batch(1, 3));
        childWith(2, "1", "2", "3");
        children.forEach(child -> assertEquals(List.of("1", "2", "3"), child.records()));
    }

    @Test
    void anAcknowledgementOfWhatWasNotSentEndsTheWorkerAndAcknowledgesNothing() {
        ShardProcessor processor = worker(
                "{\"checkpointIntervalMillis\": 0}", List.of(ShardProcessorTest::silent, ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        Child first = childWith(0, "1", "2", "3");
        first.acknowledge("4");
        first.acknowledge("3");
        assertTrue(first.dead.get());
        Child second = childWith(1, "1", "2", "3");
        second.acknowledge("nonsense");
        assertTrue(second.dead.get());
        childWith(2, "1", "2", "3");
        processor.drain();
        assertTrue(checkpoints.isEmpty());
    }

    @Test
    void aCheckpointOfWhatWasNotSentEndsTheWorkerAndStoresNothing() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        childWith(0, "1", "2", "3").checkpoint("4");
        childWith(1, "1", "2", "3").checkpoint(null);
        childWith(2, "1", "2", "3");
        assertTrue(checkpoints.isEmpty());
        assertTrue(children.get(0).checkpointAnswers().isEmpty());
    }

    @Test
    void anAcknowledgementOfOldRecordsChangesNothing() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        Child child = childWith(0, "1", "2", "3");
        child.acknowledge("2");
        child.acknowledge("1");
        child.acknowledge("2");
        assertFalse(child.dead.get());
        processor.drain();
        assertEquals(at("2"), checkpoints);
    }

    @Test
    void aCheckpointIsStoredAndAnsweredAlsoInsideABatch() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 4));
        Child child = childWith(0, "1", "2", "3", "4");
        child.checkpoint("2");
        Fakes.await("the answer", () -> child.checkpointAnswers().equals(List.of("2 null")));
        assertEquals(at("2"), checkpoints);
        child.checkpoint("1");
        Fakes.await("the answer", () -> child.checkpointAnswers().equals(List.of("2 null", "1 null")));
        assertEquals(at("2"), checkpoints, "what is stored already is not stored again");
        child.die("it ended with signal 9");
        childWith(1, "3", "4");
    }

    @Test
    void aThrottledCheckpointHoldsUpNoAcknowledgement() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 4));
        throttled.set(true);
        Child child = childWith(0, "1", "2", "3", "4");
        child.checkpoint("2");
        Fakes.await("a failure", () -> !checkpointFailures.isEmpty());
        child.acknowledge("4");
        throttled.set(false);
        Fakes.await("both", () -> checkpoints.contains(at("4").get(0)));
        assertEquals(List.of("2 null"), child.checkpointAnswers());
    }

    @Test
    void withoutAnIntervalEachAcknowledgedBatchIsCheckpointedAndPartsOfOneAreNot() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        Child child = childWith(0, "1", "2", "3", "4");
        child.acknowledge("1");
        processor.watch();
        child.acknowledge("2");
        Fakes.await("the checkpoint", () -> checkpoints.equals(at("2")));
        child.acknowledge("3");
        processor.watch();
        child.acknowledge("4");
        Fakes.await("the checkpoint", () -> checkpoints.equals(at("2", "4")));
    }

    @Test
    void withAnIntervalAcknowledgedPrefixesAreCheckpointedWhenItIsOver() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 50}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 4));
        childWith(0, "1", "2", "3", "4").acknowledge("3");
        Fakes.await("the checkpoint", () -> {
            processor.watch();
            return checkpoints.equals(at("3"));
        });
        processor.watch();
        assertEquals(at("3"), checkpoints);
    }

    @Test
    void aCheckpointThatFailsIsTriedAgainAtTheNextLook() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        throttled.set(true);
        childWith(0, "1", "2").acknowledge("2");
        Fakes.await("three failures", () -> {
            processor.watch();
            return checkpointFailures.size() >= 3;
        });
        throttled.set(false);
        Fakes.await("the checkpoint", () -> {
            processor.watch();
            return checkpoints.equals(at("2"));
        });
    }

    @Test
    void kclWaitsWhileAShardKeepsTooMuch() {
        ShardProcessor processor =
                worker("{\"maximumUnacknowledgedBytesPerShard\": 40}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        Thread kcl = inThread(() -> processor.processRecords(batch(5, 6)));
        Child child = childWith(0, "1", "2", "3", "4");
        awaitBlocked(kcl);
        child.acknowledge("1");
        awaitBlocked(kcl);
        assertEquals(List.of("1", "2", "3", "4"), child.records());
        child.acknowledge("2");
        awaitEnd(kcl);
        childWith(0, "1", "2", "3", "4", "5", "6");
    }

    @Test
    void aBatchLargerThanAllLimitsIsTakenByAShardThatKeepsNothing() {
        ShardProcessor processor = worker(
                "{\"maximumUnacknowledgedBytesPerShard\": 5, \"maximumUnacknowledgedBytes\": 5}",
                List.of(ShardProcessorTest::good));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        childWith(0, "1", "2", "3", "4");
    }

    @Test
    void aShardThatIsGivenUpHoldsKclNoLonger() {
        ShardProcessor processor =
                worker("{\"maximumUnacknowledgedBytesPerShard\": 10}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        Thread kcl = inThread(() -> processor.processRecords(batch(3, 4)));
        childWith(0, "1", "2");
        awaitBlocked(kcl);
        processor.startDraining();
        awaitEnd(kcl);
    }

    @Test
    void aBatchOverItsTimeLimitEndsTheWorkerAndIsGivenToTheNext() {
        ShardProcessor processor =
                worker("{\"timeoutInSeconds\": 1}", List.of(ShardProcessorTest::silent, ShardProcessorTest::good));
        processor.processRecords(batch(1, 2));
        Fakes.await("the replacement", () -> {
            processor.watch();
            return children.size() == 2;
        });
        childWith(1, "1", "2");
    }

    @Test
    void aWorkerThatSaysThatItGetsOnHasItsTimeAnew() {
        ShardProcessor processor =
                worker("{\"timeoutInSeconds\": 1}", List.of(ShardProcessorTest::silent, ShardProcessorTest::good));
        processor.processRecords(batch(1, 2));
        Child child = childWith(0, "1", "2");
        long began = System.nanoTime();
        Fakes.await("twice the time", () -> {
            child.listener.onMessage(new ProgressMessage());
            processor.watch();
            return System.nanoTime() - began > 2_000_000_000L;
        });
        assertFalse(child.dead.get());
        Fakes.await("its end, once it is quiet", () -> {
            processor.watch();
            return child.dead.get();
        });
        childWith(1, "1", "2");
    }

    @Test
    void aWorkerThatAcknowledgesRecordByRecordHasTheTimeForEach() {
        ShardProcessor processor = worker("{\"timeoutInSeconds\": 1}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 4));
        Child child = childWith(0, "1", "2", "3", "4");
        for (String number : List.of("1", "2", "3")) {
            long began = System.nanoTime();
            Fakes.await("half the time", () -> {
                processor.watch();
                return System.nanoTime() - began > 500_000_000L;
            });
            assertFalse(child.dead.get());
            child.acknowledge(number);
        }
        Fakes.await("its end", () -> {
            processor.watch();
            return child.dead.get();
        });
    }

    @Test
    void kclWaitsWhileAShardKeepsTooManyRecords() {
        ShardProcessor processor =
                worker("{\"maximumUnacknowledgedRecordsPerShard\": 4}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        Thread kcl = inThread(() -> processor.processRecords(batch(5, 6)));
        Child child = childWith(0, "1", "2", "3", "4");
        awaitBlocked(kcl);
        child.acknowledge("1");
        awaitBlocked(kcl);
        assertEquals(List.of("1", "2", "3", "4"), child.records());
        child.acknowledge("2");
        awaitEnd(kcl);
        childWith(0, "1", "2", "3", "4", "5", "6");
    }

    private static String told(Child child) {
        InitializeWorkerMessage initialize = (InitializeWorkerMessage) child.seen.get(0);
        return initialize.getOneByOneUpTo() + " " + initialize.getAttempts();
    }

    @Test
    void whatTheDeathsBeforeItSayEachWorkerIsTold() {
        ShardProcessor processor = worker(only(60_000, "2", "4", "6"), List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 7));
        childWith(0, "2", "4", "6").die("it ended with signal 11");
        childWith(1, "2", "4", "6").acknowledge("2");
        child(1).listener.onMessage(new AcknowledgeMessage("9"));
        childWith(2, "4", "6").die("it ended with signal 11");
        childWith(3, "4", "6").die("it ended with signal 11");
        childWith(4, "4", "6").acknowledge("4");
        child(4).die("it ended with signal 11");
        childWith(5, "6").acknowledge("6");
        child(5).die("it ended with exit code 1");
        processor.processRecords(batch(8, 8));
        child(6);
        assertEquals(
                List.of("null 0", "null 0", "6 0", "6 1", "6 2", "6 1", "null 0"),
                children.stream().map(ShardProcessorTest::told).toList());
    }

    @Test
    void aProcessThatEndsBeforeItIsSetUpSaysNothingOfTheRecords() {
        ShardProcessor processor = worker(
                "{}",
                List.of(
                        (child, message) -> child.die("it ended with exit code 1"),
                        (child, message) -> child.die("it ended with exit code 1"),
                        ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        assertEquals("null 0", told(childWith(2, "1", "2")));
    }

    private static void fatal(Child child, String reason) {
        child.listener.onMessage(new FatalMessage(reason));
    }

    @Test
    void aFatalErrorStopsTheShardAndStoresWhatIsAcknowledged() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        Child child = childWith(0, "1", "2", "3");
        child.acknowledge("2");
        assertTrue(processor.stopped().isEmpty());
        fatal(child, "no such table\u001b[31m\n" + "x".repeat(300));
        Fakes.await("its end and the checkpoint", () -> child.dead.get() && checkpoints.equals(at("2")));
        String reason = processor.stopped().orElseThrow().reason();
        assertTrue(reason.startsWith("no such table?[31m?x") && reason.length() == 201, reason);
        processor.processRecords(batch(4, 5));
        Thread kcl = inThread(() -> assertThrows(IllegalStateException.class, () -> endShard(processor)));
        awaitBlocked(kcl);
        processor.watch();
        assertEquals(1, starts.get(), "nobody replaces it");
        assertEquals(List.of("1", "2", "3"), child.records());
        processor.drain();
        awaitEnd(kcl);
        assertEquals(at("2"), checkpoints);
        assertTrue(processor.stopped().isPresent());
    }

    @Test
    void aFatalErrorBeforeTheFirstRecordStopsTheShardToo() {
        ShardProcessor processor = worker("{\"maximumUnacknowledgedRecordsPerShard\": 1}", List.of((child, message) -> {
            if (message instanceof InitializeMessage) {
                fatal(child, "no password");
            }
        }));
        Fakes.await(
                "the stop",
                () -> processor.stopped().isPresent() && child(0).dead.get());
        processor.processRecords(batch(1, 2));
        Thread kcl = inThread(() -> processor.processRecords(batch(3, 3)));
        awaitBlocked(kcl);
        assertEquals(1, starts.get());
        held.set(false);
        processor.watch();
        awaitEnd(kcl);
        assertTrue(processor.stopped().isEmpty(), "it goes with the lease");
        processor.leaseLost(LeaseLostInput.builder().build());
        assertTrue(checkpoints.isEmpty());
    }

    @Test
    void aFatalErrorAtTheEndOfTheShardKeepsItFromEnding() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of((child, message) -> {
            if (message instanceof ShardEndedMessage) {
                fatal(child, "cannot be closed");
                child.die("it ended with exit code 1");
            } else {
                good(child, message);
            }
        }));
        processor.processRecords(batch(1, 2));
        Fakes.await("its checkpoint", () -> checkpoints.equals(at("2")));
        Thread kcl = inThread(() -> assertThrows(IllegalStateException.class, () -> endShard(processor)));
        Fakes.await("the stop", () -> processor.stopped().isPresent());
        awaitBlocked(kcl);
        processor.drain();
        awaitEnd(kcl);
        assertEquals(at("2"), checkpoints);
    }

    @Test
    void aFatalErrorAfterTheLeaseWasLostStopsNothing() {
        ShardProcessor processor = worker("{}", List.of((child, message) -> {
            if (message instanceof LeaseLostMessage) {
                fatal(child, "too late");
            }
            answerRequests(child, message);
        }));
        processor.processRecords(batch(1, 2));
        Child child = childWith(0, "1", "2");
        processor.leaseLost(LeaseLostInput.builder().build());
        assertTrue(child.dead.get());
        assertTrue(processor.stopped().isEmpty());
    }

    @Test
    void drainingMakesALastCheckpointOfWhatIsAcknowledgedAndNothingMore() {
        ShardProcessor processor = worker("{}", List.of((child, message) -> {
            if (message instanceof ShutdownRequestedMessage) {
                child.acknowledge("3");
            }
            answerRequests(child, message);
        }));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        Child child = childWith(0, "1", "2", "3", "4");
        throttled.set(true);
        Thread drain = inThread(processor::drain);
        Fakes.await("eight failures", () -> checkpointFailures.size() >= 8);
        throttled.set(false);
        awaitEnd(drain);
        assertTrue(child.dead.get());
        assertEquals(at("3"), checkpoints);
        assertThrows(
                IllegalStateException.class,
                () -> processor.shardEnded(
                        ShardEndedInput.builder().checkpointer(checkpointer).build()));
    }

    @Test
    void aHandlerThatOutlivesTheDrainIsKilledAndItsRecordsAreNotAcknowledged() {
        ShardProcessor processor = worker("{}", List.of((child, message) -> {
            if (!(message instanceof ShutdownRequestedMessage)) {
                answerRequests(child, message);
            }
        }));
        processor.processRecords(batch(1, 2));
        Child child = childWith(0, "1", "2");
        throttled.set(true);
        child.acknowledge("1");
        Thread drain = inThread(processor::drain);
        Fakes.await("the request", () -> child.saw(ShutdownRequestedMessage.class));
        processor.kill();
        awaitEnd(drain);
        assertTrue(child.dead.get());
        assertTrue(checkpoints.isEmpty());
    }

    @Test
    void aDrainDoesNotWaitForAWorkerThatIsBeingStartedAndTheWorkerIsEnded() {
        startAllowed.set(false);
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        Fakes.await("a start", () -> starts.get() == 1);
        processor.drain();
        assertTrue(children.isEmpty());
        startAllowed.set(true);
        Fakes.await("its end", () -> child(0).dead.get());
        assertTrue(child(0).seen.isEmpty());
    }

    @Test
    void aShardThatWaitsForItsParentsMayBeLost() {
        host = new Host(Settings.parse("{\"workerId\": \"w\", \"settings\": {}}"), new Children(List.of()));
        List<ShardProcessor> ended = new ArrayList<>();
        ShardProcessor processor = processor(ended::add);
        processor.leaseLost(LeaseLostInput.builder().build());
        assertEquals(List.of(processor), ended);
    }

    @Test
    void nothingIsSaidToAWorkerBeforeItsFirstMessage() {
        startAllowed.set(false);
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        AtomicBoolean drained = new AtomicBoolean();
        Thread test = Thread.currentThread();
        whenAskedForTheLease.set(() -> {
            if (Thread.currentThread() != test) {
                Fakes.await("the drain", drained::get); // the worker is there, and about to be greeted
            }
        });
        startAllowed.set(true);
        child(0);
        Fakes.await("its end", () -> {
            processor.drain();
            return child(0).dead.get();
        });
        drained.set(true);
        assertTrue(child(0).seen.isEmpty(), () -> child(0).seen.toString());
    }

    @Test
    void aLeaseThatIsLostWhileBatchesAreOutTakesThemFromTheWorker() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        Child child = childWith(0, "1", "2");
        held.set(false);
        processor.watch();
        Fakes.await("the worker is told", () -> child.saw(LeaseLostMessage.class) && child.dead.get());
        assertEquals(0, dropped.get());
        held.set(true);
        processor.watch();
        assertEquals(1, dropped.get(), "a lease that comes back is let go: the batch was put down");
        processor.leaseLost(LeaseLostInput.builder().build());
        assertTrue(checkpoints.isEmpty());
        assertEquals(1, children.size());
    }

    @Test
    void aWorkerThatDoesNotPutDownALostShardIsToldAtOnceAndKilledAfterFiveSeconds() {
        ShardProcessor processor = worker("{}", List.of((child, message) -> {
            if (message instanceof InitializeMessage) {
                child.answer(InitializeMessage.ACTION);
            }
        }));
        processor.processRecords(batch(1, 2));
        Child child = childWith(0, "1", "2");
        held.set(false);
        long lostNanos = System.nanoTime();
        processor.watch();
        Fakes.await("it is told", () -> child.saw(LeaseLostMessage.class));
        assertTrue(System.nanoTime() - lostNanos < 3_000_000_000L);
        assertFalse(child.dead.get());
        Fakes.await("its end", () -> {
            processor.watch();
            return child.dead.get();
        });
        long endedNanos = System.nanoTime() - lostNanos;
        assertTrue(endedNanos > 4_900_000_000L && endedNanos < 10_000_000_000L, endedNanos + " ns");
        assertEquals(1, starts.get());
    }

    @Test
    void aWorkerThatAsksForTheLeaseIsAnsweredOrTheLeaseIsLost() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 1));
        Child child = childWith(0, "1");
        child.listener.onMessage(new LeaseMessage());
        Fakes.await("the answer", () -> child.saw(LeaseMessage.class));
        held.set(false);
        child.listener.onMessage(new LeaseMessage());
        Fakes.await("it is told", () -> {
            processor.watch();
            return child.saw(LeaseLostMessage.class);
        });
    }

    @Test
    void theEndOfTheShardWaitsForAcknowledgementsAndIsCheckpointedHoweverOftenThatIsThrottled() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        Child child = childWith(0, "1", "2", "3");
        Thread kcl = inThread(() -> endShard(processor));
        awaitBlocked(kcl);
        assertFalse(child.saw(ShardEndedMessage.class));
        throttled.set(true);
        child.acknowledge("3");
        Fakes.await("three failures", () -> checkpointFailures.size() >= 3);
        assertTrue(child.saw(ShardEndedMessage.class));
        throttled.set(false);
        awaitEnd(kcl);
        assertEquals(List.of(ExtendedSequenceNumber.SHARD_END), checkpoints);
    }

    @Test
    void noIntervalCheckpointStoresTheEndOfAShardBeforeItsWorkerHasHeardOfIt() {
        ShardProcessor processor = worker("{\"checkpointIntervalMillis\": 0}", List.of((child, message) -> {
            if (message instanceof ShardEndedMessage) {
                endedWith.add(List.copyOf(checkpoints));
            }
            answerRequests(child, message);
        }));
        processor.processRecords(batch(1, 3));
        Child child = childWith(0, "1", "2", "3");
        Thread kcl = inThread(() -> endShard(processor));
        awaitBlocked(kcl);
        child.acknowledge("3");
        awaitEnd(kcl);
        assertEquals(List.of(List.of()), endedWith);
    }

    @Test
    void aShardThatIsGivenUpWhileItsEndWaitsForAcknowledgementsIsNotEnded() {
        ShardProcessor processor = worker("{}", List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 3));
        childWith(0, "1", "2", "3");
        Thread kcl = inThread(() -> assertThrows(IllegalStateException.class, () -> endShard(processor)));
        awaitBlocked(kcl);
        processor.drain();
        awaitEnd(kcl);
        assertTrue(checkpoints.isEmpty());
    }

    @Test
    void anAnswerToARequestThatWasNotMadeChangesNothing() {
        ShardProcessor processor = worker("{}", List.of((child, message) -> {
            if (message instanceof InitializeMessage) {
                child.answer(ProcessRecordsMessage.ACTION);
                child.answer("\u001b[31m nonsense");
            }
            good(child, message);
        }));
        processor.processRecords(batch(1, 2));
        childWith(0, "1", "2");
    }

    @Test
    void aProgramGetsOneBatchAtATimeAndItsAnswerAcknowledgesNothingToKcl() {
        ShardProcessor processor = program("{}", List.of(ShardProcessorTest::silent));
        Thread kcl = inThread(() -> {
            processor.processRecords(batch(1, 2));
            processor.processRecords(batch(3, 4));
        });
        Child child = childWith(0, "1", "2");
        awaitBlocked(kcl);
        assertEquals(List.of("1", "2"), child.records());
        child.answer(ProcessRecordsMessage.ACTION);
        childWith(0, "1", "2", "3", "4").answer(ProcessRecordsMessage.ACTION);
        awaitEnd(kcl);
        processor.watch();
        assertTrue(checkpoints.isEmpty());
        assertTrue(child.terms.isEmpty());
    }

    @Test
    void whatAProgramCheckpointedInsideABatchIsNotGivenAgain() {
        ShardProcessor processor = program(
                "{}",
                List.of(
                        (child, message) -> {
                            if (message instanceof ProcessRecordsMessage) {
                                child.checkpoint("2");
                                child.die("it ended with signal 9");
                            } else {
                                answerRequests(child, message);
                            }
                        },
                        ShardProcessorTest::goodProgram));
        processor.processRecords(batch(1, 4));
        assertEquals(List.of("3", "4"), children.get(1).records());
        assertEquals(at("2"), checkpoints);
    }

    @Test
    void aProgramsCheckpointOfAllThatItWasGivenIsNoMoreThanThat() {
        ShardProcessor processor = program(
                "{}",
                List.of(
                        (child, message) -> {
                            if (message instanceof ProcessRecordsMessage records
                                    && last(records).equals("4")) {
                                child.die("it ended with signal 9");
                            } else {
                                goodProgram(child, message);
                            }
                        },
                        (child, message) -> {
                            if (message instanceof InitializeMessage) {
                                child.checkpoint(null);
                            }
                            if (message instanceof ProcessRecordsMessage) {
                                child.checkpoint("5");
                                child.checkpoint(null);
                            }
                            goodProgram(child, message);
                        }));
        processor.processRecords(batch(1, 2));
        processor.processRecords(batch(3, 4));
        assertEquals(at("2", "4"), checkpoints, "before it is given records there are those that are handled");
        assertEquals(
                List.of("null null", "5 IllegalArgumentException", "null null"),
                children.get(1).checkpointAnswers());
    }

    @Test
    void aDrainWaitsForAProgramsBatchAndCheckpointsNothingOfTheNext() {
        ShardProcessor processor = program("{}", List.of((child, message) -> {
            if (message instanceof ShutdownRequestedMessage) {
                child.checkpoint(null);
            }
            answerRequests(child, message);
        }));
        Thread kcl = inThread(() -> {
            processor.processRecords(batch(1, 2));
            processor.processRecords(batch(3, 4));
        });
        Child child = childWith(0, "1", "2");
        Thread drain = inThread(processor::drain);
        Fakes.await("the drain", () -> drain.getState() == Thread.State.TIMED_WAITING);
        awaitBlocked(kcl);
        assertFalse(child.saw(ShutdownRequestedMessage.class));
        child.answer(ProcessRecordsMessage.ACTION);
        awaitEnd(drain);
        awaitEnd(kcl);
        assertEquals(List.of("1", "2"), child.records());
        assertEquals(at("2"), checkpoints);
    }

    @Test
    void aProgramIsAskedUntilItHasCheckpointedTheEndOfTheShard() {
        ShardProcessor processor = program("{}", List.of(ShardProcessorTest::goodProgram, (child, message) -> {
            if (message instanceof ShardEndedMessage) {
                child.checkpoint(null);
            }
            goodProgram(child, message);
        }));
        processor.processRecords(batch(1, 2));
        endShard(processor);
        assertEquals(2, children.size());
        assertEquals(List.of(ExtendedSequenceNumber.SHARD_END), checkpoints);
    }

    /** A worker in a thread of its own that handles records one by one, acknowledges now and then, and dies by chance. */
    private static final class Mortal {
        private final Random random;
        private final Set<Integer> acknowledged;
        private final AtomicInteger deathsLeft;
        private final ExecutorService thread = Background.threads("mortal");
        private final SerialTasks tasks = new SerialTasks(thread);

        Mortal(long seed, Set<Integer> acknowledged, AtomicInteger deathsLeft) {
            this.random = new Random(seed);
            this.acknowledged = acknowledged;
            this.deathsLeft = deathsLeft;
        }

        void hear(Child child, Message message) {
            tasks.run(() -> {
                if (message instanceof ProcessRecordsMessage records) {
                    records.getRecords().forEach(each -> handle(child, each.getSequenceNumber()));
                    acknowledge(child, last(records));
                } else {
                    answerRequests(child, message);
                }
            });
        }

        private void handle(Child child, String number) {
            if (random.nextInt(8) == 0 && deathsLeft.getAndDecrement() > 0) {
                child.die("it ended with signal 9");
            } else if (random.nextInt(4) == 0) {
                acknowledge(child, number);
            }
        }

        private void acknowledge(Child child, String number) {
            if (!child.dead.get()) {
                acknowledged.add(Integer.parseInt(number));
                if (random.nextInt(4) == 0) {
                    child.checkpoint(number);
                } else {
                    child.acknowledge(number);
                }
            }
        }
    }

    /** Settings with which only these records pass. */
    private static String only(long checkpointIntervalMillis, String... numbers) {
        try {
            Map<String, ?> pattern = Map.of("dynamodb", Map.of("SequenceNumber", numbers));
            String criteria = JSON.writeValueAsString(Map.of("Filters", List.of(Map.of("Pattern", pattern))));
            return JSON.writeValueAsString(
                    Map.of("checkpointIntervalMillis", checkpointIntervalMillis, "filterCriteria", criteria));
        } catch (JsonProcessingException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void whatIsFilteredOutIsNotSentAndCountsAsHandledOnceAllBeforeItIs() {
        ShardProcessor processor = worker(only(0, "3", "5"), List.of(ShardProcessorTest::silent));
        processor.processRecords(batch(1, 2));
        Fakes.await("its checkpoint", () -> checkpoints.equals(at("2")));
        processor.processRecords(batch(3, 6));
        processor.processRecords(batch(7, 8));
        Child child = childWith(0, "3", "5");
        child.acknowledge("3");
        processor.watch();
        assertEquals(at("2"), checkpoints, "5 is not handled");
        child.acknowledge("5");
        Fakes.await(
                "its checkpoint", () -> checkpoints.get(checkpoints.size() - 1).equals(at("8").get(0)));
        assertEquals(2, encoded.get(), "what is filtered out is not encoded");
    }

    @Test
    void aWorkerThatDiesLeavesOnlyWhatPassedToTheNext() {
        ShardProcessor processor =
                worker(only(0, "2", "5", "7"), List.of(ShardProcessorTest::silent, ShardProcessorTest::good));
        processor.processRecords(batch(1, 8));
        Child first = childWith(0, "2", "5", "7");
        first.acknowledge("2");
        first.die("it ended with signal 9");
        childWith(1, "5", "7");
        Fakes.await(
                "its checkpoint", () -> checkpoints.get(checkpoints.size() - 1).equals(at("8").get(0)));
    }

    @Test
    void aShardOfWhichNothingPassesIsEndedAndDrainedAsAnyOther() {
        ShardProcessor drained = worker(only(60_000, "99"), List.of(ShardProcessorTest::good));
        drained.processRecords(batch(1, 3));
        drained.drain();
        assertEquals(at("3"), checkpoints);
        ShardProcessor ended = worker(only(0, "99"), List.of(ShardProcessorTest::good));
        ended.processRecords(batch(4, 6));
        endShard(ended);
        assertEquals(ExtendedSequenceNumber.SHARD_END, checkpoints.get(checkpoints.size() - 1));
    }

    @Test
    void pastWhatAProgramHasStoredTheFiltersRecordsAreStoredForIt() {
        ShardProcessor processor = program(only(0, "2"), List.of(ShardProcessorTest::goodProgram));
        processor.processRecords(batch(1, 4));
        processor.watch();
        assertTrue(checkpoints.isEmpty(), "2 is the program's to store");
        Child child = childWith(0, "2");
        child.checkpoint("2");
        Fakes.await("its checkpoint", () -> checkpoints.equals(at("2")));
        Fakes.await("ours", () -> {
            processor.watch();
            return checkpoints.equals(at("2", "4"));
        });
        child.checkpoint("2");
        Fakes.await("the answer", () -> child.checkpointAnswers().equals(List.of("2 null", "2 null")));
        assertEquals(at("2", "4"), checkpoints);
    }

    @Test
    void whateverDiesNoRecordIsSkippedAndNoCheckpointPassesAnAcknowledgement() {
        long seed = new Random().nextLong();
        Set<Integer> acknowledged = ConcurrentHashMap.newKeySet();
        AtomicInteger deathsLeft = new AtomicInteger(15);
        AtomicInteger workers = new AtomicInteger();
        Map<Child, Mortal> mortals = new ConcurrentHashMap<>();
        ShardProcessor processor = worker(
                "{\"checkpointIntervalMillis\": 0, \"maximumUnacknowledgedBytesPerShard\": 200}",
                List.of((child, message) -> mortals.computeIfAbsent(
                                child, born -> new Mortal(seed + workers.incrementAndGet(), acknowledged, deathsLeft))
                        .hear(child, message)));
        for (int from = 1; from <= 900; from += 6) {
            processor.processRecords(batch(from, from + 5));
            processor.watch();
        }
        endShard(processor);
        String where = "seed " + seed;
        assertTrue(children.size() > 1, where);
        assertEquals(ExtendedSequenceNumber.SHARD_END, checkpoints.get(checkpoints.size() - 1), where);
        int previous = 0;
        for (ExtendedSequenceNumber each : checkpoints.subList(0, checkpoints.size() - 1)) {
            int number = Integer.parseInt(each.sequenceNumber());
            assertTrue(number > previous && acknowledged.contains(number), where);
            previous = number;
        }
        // Each worker was given a piece without a gap, which begins no later than where what is acknowledged ends.
        int next = 1;
        for (Child child : children) {
            List<Integer> given = child.records().stream().map(Integer::valueOf).toList();
            for (int i = 1; i < given.size(); i++) {
                assertEquals(given.get(i - 1) + 1, given.get(i), where);
            }
            if (!given.isEmpty()) {
                assertTrue(given.get(0) <= next, where);
                next = Math.max(next, given.get(given.size() - 1) + 1);
            }
        }
        assertEquals(901, next, where);
    }

    private static software.amazon.awssdk.services.kinesis.model.ChildShard childShard() {
        return software.amazon.awssdk.services.kinesis.model.ChildShard.builder()
                .shardId("shardId-00000001795477999999-8d8277c2")
                .parentShards(SHARD)
                .hashKeyRange(range -> range.startingHashKey("0").endingHashKey("1"))
                .build();
    }
}
