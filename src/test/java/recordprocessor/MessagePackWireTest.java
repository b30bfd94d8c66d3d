package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.msgpack.core.ExtensionTypeHeader;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

class MessagePackWireTest {
    private static final int ROUNDS = 20_000;

    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);
    private final RandomValues values = new RandomValues(random);

    @Test
    void whatTheDaemonSaysHasTheBytesOfTheExamples() throws IOException {
        List<WireExamples.Example> examples = WireExamples.of("wire-daemon");
        assertEquals(10, examples.size());
        for (WireExamples.Example example : examples) {
            assertHex(example.bytes(), daemonFrame(example.said()), example.said());
        }
    }

    private static byte[] daemonFrame(JsonNode said) throws IOException {
        LeaseTerms lease = new LeaseTerms(
                said.path("deadlineNanos").asLong(), said.path("fencingToken").asLong());
        return switch (said.path("action").asText()) {
            case "initialize" ->
                MessagePackWire.frame(new InitializeWorkerMessage(
                        InitializationInput.builder()
                                .shardId(said.path("shardId").asText())
                                .extendedSequenceNumber(new ExtendedSequenceNumber(
                                        said.path("sequenceNumber").asText()))
                                .build(),
                        said.path("streamArn").asText(),
                        said.path("workerId").asText(),
                        lease,
                        new Crashes.Suspicion(
                                said.path("oneByOneUpTo").isNull()
                                        ? null
                                        : SequenceNumber.of(
                                                said.path("oneByOneUpTo").asText()),
                                said.path("attempts").asInt())));
            case "processRecords" -> {
                List<Slice> records = new ArrayList<>();
                for (JsonNode each : said.path("records")) {
                    records.add(Slice.of(MessagePackRecord.encode(WireExamples.event(each))));
                }
                JsonNode behind = said.path("millisBehindLatest");
                yield WireExamples.frame(new RecordsHeader(behind.isNull() ? null : behind.asLong(), lease), records);
            }
            case "checkpoint" -> {
                CheckpointMessage answer =
                        new CheckpointMessage(said.path("sequenceNumber").asText(), null, null);
                answer.setError(WireExamples.text(said, "error"));
                yield MessagePackWire.frame(answer);
            }
            case "lease" -> MessagePackWire.frame(new LeaseMessage(lease));
            case "shutdownRequested" -> MessagePackWire.frame(new ShutdownRequestedMessage());
            case "leaseLost" -> MessagePackWire.frame(new LeaseLostMessage());
            case "shardEnded" -> MessagePackWire.frame(new ShardEndedMessage());
            default -> throw new AssertionError(said.toString());
        };
    }

    @Test
    void theExamplesOfWhatAWorkerSaysAreUnderstood() throws IOException {
        List<WireExamples.Example> examples = WireExamples.of("wire-worker");
        assertEquals(7, examples.size());
        for (WireExamples.Example example : examples) {
            JsonNode said = example.said();
            Message message = MessagePackWire.decode(content(example.bytes()));
            switch (said.path("action").asText()) {
                case "hello" -> {
                    HelloMessage hello = (HelloMessage) message;
                    assertEquals(said.path("token").asText(), hello.getToken());
                    assertEquals(said.path("worker").asLong(), hello.getWorker());
                    assertEquals(said.path("pid").asLong(), hello.getPid());
                }
                case "status" ->
                    assertEquals(said.path("responseFor").asText(), ((StatusMessage) message).getResponseFor());
                case "acknowledge" ->
                    assertEquals(
                            said.path("sequenceNumber").asText(), ((AcknowledgeMessage) message).getSequenceNumber());
                case "checkpoint" ->
                    assertEquals(
                            said.path("sequenceNumber").asText(), ((CheckpointMessage) message).getSequenceNumber());
                case "lease" -> assertEquals(LeaseMessage.class, message.getClass());
                case "progress" -> assertEquals(ProgressMessage.class, message.getClass());
                case "fatal" -> assertEquals(said.path("reason").asText(), ((FatalMessage) message).getReason());
                default -> throw new AssertionError(said.toString());
            }
        }
    }

    @Test
    void recordsAndValuesHaveTheBytesOfTheExamples() throws IOException {
        List<WireExamples.Example> records = WireExamples.of("wire-record");
        assertEquals(2, records.size());
        for (WireExamples.Example example : records) {
            assertHex(example.bytes(), MessagePackRecord.encode(WireExamples.event(example.said())), example.said());
        }
        List<WireExamples.Example> values = WireExamples.of("wire-value");
        assertEquals(18, values.size());
        for (WireExamples.Example example : values) {
            assertHex(example.bytes(), MessagePackRecord.encode(WireExamples.value(example.said())), example.said());
        }
    }

    private static void assertHex(byte[] expected, byte[] actual, Object said) {
        assertEquals(HexFormat.of().formatHex(expected), HexFormat.of().formatHex(actual), said.toString());
    }

    private static byte[] content(byte[] frame) throws IOException {
        FrameReader frames = new FrameReader(Channels.newChannel(new ByteArrayInputStream(frame)));
        byte[] content = frames.read(MessagePackWire.MAX_INCOMING_BYTES);
        assertEquals(null, frames.read(MessagePackWire.MAX_INCOMING_BYTES));
        return content;
    }

    @Test
    void halfASurrogatePairIsNoString() {
        for (String text : List.of("\ud83d", "a\udc22", "\ud83dx", "\udc22\ud83d")) {
            assertThrows(
                    IllegalArgumentException.class, () -> MessagePackRecord.encode(AttributeValue.fromS(text)), text);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> MessagePackRecord.encode(AttributeValue.fromM(Map.of(text, AttributeValue.fromBool(true)))),
                    text);
        }
    }

    @Test
    void whatCouldNotBeEncodedLeavesNothingBehindForTheNext() {
        AttributeValue good = AttributeValue.fromM(Map.of("a", AttributeValue.fromNs(List.of("1", "2"))));
        byte[] expected = MessagePackRecord.encode(good);
        AttributeValue bad = AttributeValue.fromL(List.of(
                AttributeValue.fromS("x".repeat(10_000)),
                AttributeValue.fromS("y"),
                AttributeValue.fromSs(List.of("z", "\ud83d"))));
        for (int i = 0; i < 3; i++) {
            assertThrows(IllegalArgumentException.class, () -> MessagePackRecord.encode(bad));
            assertArrayEquals(expected, MessagePackRecord.encode(good));
        }
    }

    @Test
    void numbersThatAreNotWrittenAsLongsKeepTheirText() throws IOException {
        for (String text : List.of("-0", "007", "+5", "1E2", "1.0", "-9223372036854775809", "-", "")) {
            assertEquals(AttributeValue.fromN(text), decoded(AttributeValue.fromN(text)));
        }
        assertEquals(9, MessagePackRecord.encode(AttributeValue.fromN("-9223372036854775808")).length);
    }

    @Test
    void aValueThatIsNestedWithoutEndIsAnError() {
        AttributeValue value = AttributeValue.fromBool(true);
        for (int i = 0; i < 10_000; i++) {
            value = AttributeValue.fromL(List.of(value));
        }
        AttributeValue nested = value;
        assertThrows(IllegalArgumentException.class, () -> MessagePackRecord.encode(nested));
        assertThrows(
                IllegalArgumentException.class,
                () -> MessagePackRecord.encode(AttributeValue.builder().build()));
    }

    @Test
    void aFrameOverTheLimitIsNotMade() {
        Slice huge = Slice.of(new byte[9 * 1024 * 1024]);
        assertThrows(
                IllegalArgumentException.class,
                () -> MessagePackWire.head(new RecordsHeader(null, new LeaseTerms(0, 0)), List.of(huge, huge)));
    }

    @Test
    void framesThatAreNotAsDescribedAreOneClearError() {
        Map<String, String> frames = new LinkedHashMap<>();
        frames.put("00 00 00 00", "it sent a frame of 0 bytes; from 1 to 65536 are allowed");
        frames.put("ff ff ff ff 80", "it sent a frame of 4294967295 bytes; from 1 to 65536 are allowed");
        frames.put("00 01 00 01 80", "it sent a frame of 65537 bytes; from 1 to 65536 are allowed");
        frames.put("00 00", "its connection ended within a frame");
        frames.put("00 00 00 05 80", "its connection ended within a frame");
        frames.put("00 00 00 01 80", "it sent a frame with an action that is no worker's");
        frames.put("00 00 00 01 c0", "it sent a frame that is not a whole map of MessagePack");
        frames.put("00 00 00 05 df ff ff ff ff", "it sent a frame that is not a whole map of MessagePack");
        frames.put("00 00 00 06 81 db ff ff ff fe", "it sent a frame that is not a whole map of MessagePack");
        frames.put("00 00 00 04 81 a1 61 c0", "it sent a frame that does not begin with its action");
        String lease = "a6 61 63 74 69 6f 6e a5 6c 65 61 73 65";
        frames.put("00 00 00 0f 81 " + lease + " 00", "it sent a frame with more behind its message");
        frames.put(
                "00 00 00 11 82 " + lease + " a1 61 91",
                "it sent a frame with a value that is no string, integer, boolean or nil");
        frames.put("00 00 00 11 82 " + lease + " a1 61 c1", "it sent a frame that is not a whole map of MessagePack");
        frames.put("00 00 00 11 82 " + lease + " a1 ff c0", "it sent a frame that is not a whole map of MessagePack");
        frames.put(
                "00 00 00 1b 82 " + lease + " a6 61 63 74 69 6f 6e a5 6c 65 61 73 65",
                "it sent a frame with a field twice");
        frames.put(
                "00 00 00 0f 81 a6 61 63 74 69 6f 6e a6 73 74 61 74 75 73",
                "it sent a frame whose responseFor is missing or no string");
        frames.forEach((hex, error) -> assertEquals(
                error,
                assertThrows(
                                MalformedFrameException.class,
                                () -> {
                                    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
                                    MessagePackWire.decode(content(bytes));
                                },
                                hex)
                        .getMessage(),
                hex));
    }

    @Test
    void whateverComesIsAMessageOrOneError() throws IOException {
        List<byte[]> good = new ArrayList<>();
        for (WireExamples.Example example : WireExamples.of("wire-worker")) {
            good.add(example.bytes());
        }
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            for (int round = 0; round < ROUNDS; round++) {
                byte[] bytes = round % 2 == 0 ? noise() : mutated(good.get(random.nextInt(good.size())));
                readAll(bytes, round);
            }
        });
    }

    private void readAll(byte[] bytes, int round) {
        FrameReader frames = new FrameReader(Channels.newChannel(new ByteArrayInputStream(bytes)));
        try {
            byte[] frame = frames.read(MessagePackWire.MAX_INCOMING_BYTES);
            while (frame != null) {
                MessagePackWire.decode(frame);
                frame = frames.read(MessagePackWire.MAX_INCOMING_BYTES);
            }
        } catch (MalformedFrameException e) {
            assertFalse(e.getMessage().contains("\n"));
        } catch (IOException | RuntimeException | StackOverflowError e) {
            throw new AssertionError(
                    "seed " + seed + ", round " + round + ": " + HexFormat.of().formatHex(bytes), e);
        }
    }

    /** Half of it behind a length that fits. */
    private byte[] noise() {
        byte[] bytes = new byte[4 + random.nextInt(300)];
        random.nextBytes(bytes);
        if (random.nextBoolean()) {
            ByteBuffer.wrap(bytes).putInt(bytes.length - 4);
            if (bytes.length > 4) {
                bytes[4] = (byte) (0x80 + random.nextInt(16));
            }
        }
        return bytes;
    }

    private byte[] mutated(byte[] good) {
        byte[] bytes = good.clone();
        for (int i = 0; i <= random.nextInt(3); i++) {
            bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
        }
        return random.nextInt(4) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
    }

    @Test
    void anyValueComesBackAsItWas() throws IOException {
        for (int round = 0; round < ROUNDS / 50; round++) {
            AttributeValue value = values.value(0);
            assertEquals(value, decoded(value), "seed " + seed + ", round " + round);
        }
    }

    private static AttributeValue decoded(AttributeValue value) throws IOException {
        try (MessageUnpacker unpacker = MessagePack.newDefaultUnpacker(MessagePackRecord.encode(value))) {
            AttributeValue decoded = decoded(unpacker);
            assertFalse(unpacker.hasNext());
            return decoded;
        }
    }

    /** As a worker does it. */
    private static AttributeValue decoded(MessageUnpacker unpacker) throws IOException {
        return switch (unpacker.getNextFormat().getValueType()) {
            case STRING -> AttributeValue.fromS(unpacker.unpackString());
            case INTEGER -> AttributeValue.fromN(unpacker.unpackBigInteger().toString());
            case BINARY ->
                AttributeValue.fromB(SdkBytes.fromByteArray(unpacker.readPayload(unpacker.unpackBinaryHeader())));
            case BOOLEAN -> AttributeValue.fromBool(unpacker.unpackBoolean());
            case NIL -> {
                unpacker.unpackNil();
                yield AttributeValue.fromNul(true);
            }
            case ARRAY -> AttributeValue.fromL(elements(unpacker));
            case MAP -> {
                Map<String, AttributeValue> attributes = new LinkedHashMap<>();
                for (int i = unpacker.unpackMapHeader(); i > 0; i--) {
                    attributes.put(unpacker.unpackString(), decoded(unpacker));
                }
                yield AttributeValue.fromM(attributes);
            }
            case EXTENSION -> extension(unpacker);
            default -> throw new AssertionError();
        };
    }

    private static List<AttributeValue> elements(MessageUnpacker unpacker) throws IOException {
        List<AttributeValue> elements = new ArrayList<>();
        for (int i = unpacker.unpackArrayHeader(); i > 0; i--) {
            elements.add(decoded(unpacker));
        }
        return elements;
    }

    private static AttributeValue extension(MessageUnpacker unpacker) throws IOException {
        ExtensionTypeHeader header = unpacker.unpackExtensionTypeHeader();
        byte[] content = unpacker.readPayload(header.getLength());
        if (header.getType() == 1 || header.getType() == 5) {
            return AttributeValue.fromN(new String(content, java.nio.charset.StandardCharsets.UTF_8));
        }
        try (MessageUnpacker inner = MessagePack.newDefaultUnpacker(content)) {
            List<AttributeValue> elements = elements(inner);
            assertFalse(inner.hasNext());
            return switch (header.getType()) {
                case 2 ->
                    AttributeValue.fromSs(
                            elements.stream().map(AttributeValue::s).toList());
                case 3 ->
                    AttributeValue.fromNs(
                            elements.stream().map(AttributeValue::n).toList());
                case 4 ->
                    AttributeValue.fromBs(
                            elements.stream().map(AttributeValue::b).toList());
                default -> throw new AssertionError();
            };
        }
    }

    @Test
    void recordsOfAMessageAreTheBytesThatWereMadeWhenTheyArrived() {
        byte[] read = {9, 1, 2, 3, 9};
        byte[] frame = WireExamples.frame(
                new RecordsHeader(null, new LeaseTerms(1, 2)), List.of(new Slice(read, 1, 1), new Slice(read, 2, 2)));
        assertArrayEquals(new byte[] {(byte) 0x92, 1, 2, 3}, Arrays.copyOfRange(frame, frame.length - 4, frame.length));
    }
}
