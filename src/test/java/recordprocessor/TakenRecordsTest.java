package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.http.ExecutableHttpRequest;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.HttpExecuteResponse;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpFullResponse;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.ExpiredIteratorException;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/** With the SDK's client over answers as they come over HTTP. */
class TakenRecordsTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String ARN = "arn";
    private static final Instant FIRST_START = Instant.ofEpochSecond(1_700_000_000);
    private static final int ROUNDS = 40;
    /** More than the SDK makes. */
    private static final int ATTEMPTS = 10;

    private final long seed = new Random().nextLong();
    private final Random random = new Random(seed);
    private final RandomValues values = new RandomValues(random);
    private final FirstStarts firstStarts = new FirstStarts();

    /** What comes over HTTP next, in order. */
    private final Deque<SdkHttpFullResponse> answers = new ArrayDeque<>();

    private final DynamoDbStreamsClient client = DynamoDbStreamsClient.builder()
            .region(Region.EU_WEST_1)
            .credentialsProvider(AnonymousCredentialsProvider.create())
            .overrideConfiguration(config -> config.addExecutionInterceptor(new TakenRecords.Interceptor()))
            .httpClient(new SdkHttpClient() {
                @Override
                public ExecutableHttpRequest prepareRequest(HttpExecuteRequest request) {
                    return new ExecutableHttpRequest() {
                        @Override
                        public HttpExecuteResponse call() {
                            SdkHttpFullResponse answer = answers.remove();
                            return HttpExecuteResponse.builder()
                                    .response(answer)
                                    .responseBody(answer.content().orElseThrow())
                                    .build();
                        }

                        @Override
                        public void abort() {
                            throw new AssertionError();
                        }
                    };
                }

                @Override
                public void close() {
                    throw new AssertionError();
                }
            })
            .build();

    /** As {@link WorkerSocket} has it. */
    private record Workers(boolean takesMessagePack) implements Transport.Factory {
        @Override
        public Transport start(String shardId) {
            throw new AssertionError();
        }

        @Override
        public byte[] encode(Record event) {
            return MessagePackRecord.encode(event);
        }
    }

    private RecordReader.Answer read(boolean taken) {
        RecordReader reader =
                new RecordReader(client, firstStarts, RecordFilter.of(Settings.parse("{}")), new Workers(taken));
        return reader.read(GetRecordsRequest.builder().shardIterator("i").build(), ARN);
    }

    private static SdkHttpFullResponse.Builder answer(byte[] body) {
        return SdkHttpFullResponse.builder()
                .statusCode(200)
                .content(AbortableInputStream.create(new ByteArrayInputStream(body)));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static List<String> said(RecordReader.Answer answer) {
        return answer.records().stream()
                .map(each -> each.use() + " " + each.sequenceNumber() + " " + each.approximateArrivalTimestamp() + " "
                        + each.sizeBytes() + " "
                        + HexFormat.of()
                                .formatHex(
                                        each.encoded().array(),
                                        each.encoded().offset(),
                                        each.encoded().offset() + each.encoded().length()))
                .toList();
    }

    private RecordReader.Answer same(byte[] body) {
        answers.add(answer(body).build());
        answers.add(answer(body).build());
        RecordReader.Answer taken = read(true);
        RecordReader.Answer left = read(false);
        assertTrue(taken.response().records().isEmpty());
        assertEquals(left.response().nextShardIterator(), taken.response().nextShardIterator());
        assertEquals(said(left), said(taken), "seed " + seed);
        return taken;
    }

    @Test
    void whatIsTakenIsWhatTheSdkWouldHaveMadeOfIt() throws IOException {
        for (int round = 0; round < ROUNDS; round++) {
            assertEquals(
                    "next \"one\"",
                    same(JSON.writeValueAsBytes(answer(random.nextInt(5))))
                            .response()
                            .nextShardIterator());
        }
    }

    @Test
    void anAnswerMayLackWhatItWill() {
        for (String body : List.of(
                "{}",
                "{\"Records\":[]}",
                "{\"NextShardIterator\":null,\"Records\":[],\"Other\":{\"a\":[1,{}]}}",
                "{\"Records\":[{\"dynamodb\":{\"SequenceNumber\":\"1\",\"Other\":[1]},\"other\":{}}]}",
                "{\"Records\":[{\"eventID\":null,\"userIdentity\":{},\"dynamodb\":{\"SequenceNumber\":\"1\","
                        + "\"Keys\":{},\"NewImage\":null,\"SizeBytes\":null,"
                        + "\"ApproximateCreationDateTime\":1.7000000005E9}}]}",
                "{\"Records\":[{\"userIdentity\":{\"Type\":\"Service\",\"PrincipalId\":\"dynamodb.amazonaws.com\"},"
                        + "\"dynamodb\":{\"SequenceNumber\":\"1\",\"ApproximateCreationDateTime\":1700000000.123}}]}")) {
            same(bytes(body));
        }
    }

    @Test
    void aRecordOlderThanTheApplicationIsPassedOver() {
        firstStarts.remember(ARN, FIRST_START);
        RecordReader.Answer answer = same(bytes("{\"Records\":["
                + "{\"dynamodb\":{\"SequenceNumber\":\"1\",\"ApproximateCreationDateTime\":1699999000}},"
                + "{\"dynamodb\":{\"SequenceNumber\":\"2\",\"ApproximateCreationDateTime\":1700000001}}]}"));
        assertEquals(
                List.of(ReadRecord.Use.NOT_OURS, ReadRecord.Use.HANDLED),
                answer.records().stream().map(ReadRecord::use).toList());
    }

    @Test
    void aRecordThatIsLargerThanMostComesWhole() {
        for (int size : new int[] {1, 1_000, 300_000, 400_000}) {
            same(bytes("{\"Records\":[" + record("{\"a\":{\"S\":\"" + "é".repeat(size) + "\"}}") + ","
                    + record("{\"a\":{\"N\":\"1\"}}") + "]}"));
        }
    }

    @Test
    void whatIsNoValueOfDynamoDBIsAnError() {
        for (String value : List.of(
                "{}",
                "{\"X\":1}",
                "{\"S\":\"a\",\"N\":\"1\"}",
                "{\"S\":1}",
                "{\"N\":1}",
                "{\"S\":\"\\ud83d\"}",
                "{\"L\":{}}",
                "{\"SS\":[{\"S\":\"a\"}]}",
                "{\"NULL\":\"a\"}",
                "7",
                "{\"L\":[".repeat(200) + "]}".repeat(200))) {
            for (int i = 0; i < ATTEMPTS; i++) {
                answers.add(answer(bytes("{\"Records\":[" + record("{\"a\":" + value + "}") + "]}"))
                        .build());
            }
            RuntimeException failure = assertThrows(RuntimeException.class, () -> read(true), value);
            assertTrue(
                    failure instanceof IllegalArgumentException || failure instanceof SdkClientException,
                    failure.toString());
            answers.clear();
        }
    }

    @Test
    void anAnswerThatIsNotWholeIsAskedForAgain() {
        byte[] body = bytes("{\"NextShardIterator\":\"n\",\"Records\":[" + record("{}") + "]}");
        CRC32 checksum = new CRC32();
        checksum.update(body);
        String right = Long.toString(checksum.getValue());
        for (byte[] bad : List.of(Arrays.copyOf(body, body.length - 4), bytes(""), bytes("<html>"))) {
            answers.add(answer(bad).build());
            answers.add(answer(body).putHeader("x-amz-crc32", right).build());
            assertEquals(1, read(true).records().size());
        }
        answers.add(answer(body).putHeader("x-amz-crc32", "1").build());
        answers.add(answer(body).putHeader("x-amz-crc32", right).build());
        assertEquals("n", read(true).response().nextShardIterator());
        assertTrue(answers.isEmpty());
    }

    @Test
    void whatIsSaidOfABadAnswerHasNothingOfARecord() {
        for (int i = 0; i < ATTEMPTS; i++) {
            answers.add(answer(bytes("{\"Records\":[" + record("{\"a\":{\"S\":secret}}") + "]}"))
                    .build());
        }
        SdkClientException failure = assertThrows(SdkClientException.class, () -> read(true));
        assertTrue(failure.getMessage().contains("could not be read: it is not as it should be at byte "));
        for (Throwable each = failure; each != null; each = each.getCause()) {
            assertFalse(each.toString().contains("secret"), each.toString());
        }
    }

    @Test
    void aCompressedAnswerIsLeftToTheSdk() throws IOException {
        ByteArrayOutputStream compressed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(compressed)) {
            gzip.write(bytes("{\"Records\":[" + record("{}") + "]}"));
        }
        answers.add(answer(compressed.toByteArray())
                .putHeader("Content-Encoding", "gzip")
                .build());
        RecordReader.Answer answer = read(true);
        assertEquals(1, answer.response().records().size());
        assertEquals(1, answer.records().size());
    }

    @Test
    void anErrorIsTheSdksAsBefore() {
        answers.add(answer(
                        bytes(
                                "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ExpiredIteratorException\",\"message\":\"old\"}"))
                .statusCode(400)
                .build());
        assertThrows(ExpiredIteratorException.class, () -> read(true));
    }

    private static String record(String image) {
        return "{\"eventID\":\"1\",\"dynamodb\":{\"SequenceNumber\":\"1\",\"NewImage\":" + image + "}}";
    }

    private ObjectNode answer(int records) {
        ObjectNode answer = JSON.createObjectNode().put("NextShardIterator", "next \"one\"");
        ArrayNode events = answer.putArray("Records");
        for (int i = 0; i < records; i++) {
            ObjectNode event = events.addObject().put("eventID", Integer.toString(i));
            event.put("eventName", random.nextBoolean() ? "MODIFY" : "REMOVE")
                    .put("eventVersion", "1.1")
                    .put("eventSource", "aws:dynamodb")
                    .put("awsRegion", "eu-west-1");
            ObjectNode stream = event.putObject("dynamodb")
                    .put("ApproximateCreationDateTime", 1_700_000_000 + random.nextInt(1000))
                    .put("SizeBytes", random.nextInt(1000))
                    .put("StreamViewType", "NEW_AND_OLD_IMAGES");
            stream.set("Keys", attributes(values.attributes(4)));
            if (random.nextBoolean()) {
                stream.set("NewImage", attributes(values.attributes(3)));
            }
            if (random.nextBoolean()) {
                stream.set("OldImage", attributes(values.attributes(2)));
            }
            stream.put("SequenceNumber", "00" + random.nextInt(1_000_000));
        }
        return answer;
    }

    private static ObjectNode attributes(Map<String, AttributeValue> attributes) {
        ObjectNode json = JSON.createObjectNode();
        attributes.forEach((name, value) -> json.set(name, json(value)));
        return json;
    }

    private static ObjectNode json(AttributeValue value) {
        ObjectNode json = JSON.createObjectNode();
        switch (value.type()) {
            case S -> json.put("S", value.s());
            case N -> json.put("N", value.n());
            case B -> json.put("B", value.b().asByteArray());
            case BOOL -> json.put("BOOL", value.bool());
            case NUL -> json.put("NULL", true);
            case L -> {
                ArrayNode elements = json.putArray("L");
                value.l().forEach(each -> elements.add(json(each)));
            }
            case M -> json.set("M", attributes(value.m()));
            case SS -> {
                ArrayNode elements = json.putArray("SS");
                value.ss().forEach(elements::add);
            }
            case NS -> {
                ArrayNode elements = json.putArray("NS");
                value.ns().forEach(elements::add);
            }
            case BS -> {
                ArrayNode elements = json.putArray("BS");
                value.bs().forEach(each -> elements.add(each.asByteArray()));
            }
            default -> throw new AssertionError();
        }
        return json;
    }
}
