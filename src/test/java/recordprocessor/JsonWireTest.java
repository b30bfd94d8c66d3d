package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.JsonFriendlyRecord;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

class JsonWireTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final InitializationInput SHARD = InitializationInput.builder()
            .shardId("shardId-1")
            .extendedSequenceNumber(ExtendedSequenceNumber.TRIM_HORIZON)
            .build();

    private final JsonWire stock = new JsonWire(true);
    private final JsonWire ours = new JsonWire(false);

    private static String text(byte[] line) {
        return new String(line, StandardCharsets.UTF_8);
    }

    @Test
    void aProgramGetsTheBytesOfKclsOwnMessages() throws IOException {
        List<Record> events = new ArrayList<>();
        for (WireExamples.Example example : WireExamples.of("wire-record")) {
            events.add(WireExamples.event(example.said()));
        }
        List<Slice> encoded = events.stream().map(stock::encode).map(Slice::of).toList();
        for (Long behind : new Long[] {null, 250L}) {
            ProcessRecordsMessage message = new ProcessRecordsMessage();
            message.setRecords(events.stream()
                    .map(DynamoDBStreamsClientRecord::fromRecord)
                    .map(JsonFriendlyRecord::fromKinesisClientRecord)
                    .toList());
            message.setMillisBehindLatest(behind);
            assertEquals(
                    JSON.writeValueAsString(message) + "\n",
                    text(stock.line(new RecordsHeader(behind, null), encoded)));
        }
        InitializeMessage initialize = new InitializeMessage(SHARD);
        assertEquals(JSON.writeValueAsString(initialize) + "\n", text(stock.line(initialize)));
    }

    @Test
    void aWorkerOfOursGetsWhatOnlyItKnows() {
        LeaseTerms lease = new LeaseTerms(1234567890123L, 7);
        String arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970";
        assertEquals(
                "{\"action\":\"initialize\",\"shardId\":\"shardId-1\",\"sequenceNumber\":\"TRIM_HORIZON\","
                        + "\"subSequenceNumber\":0,\"streamArn\":\"" + arn + "\",\"tableName\":\"orders\","
                        + "\"workerId\":\"host-1\",\"deadlineNanos\":1234567890123,\"fencingToken\":7,"
                        + "\"oneByOneUpTo\":null,\"attempts\":0}\n",
                text(ours.line(new InitializeWorkerMessage(SHARD, arn, "host-1", lease, Crashes.Suspicion.NONE))));
        assertTrue(text(ours.line(new InitializeWorkerMessage(
                        SHARD, arn, "host-1", lease, new Crashes.Suspicion(SequenceNumber.of("007"), 3))))
                .endsWith(",\"oneByOneUpTo\":\"007\",\"attempts\":3}\n"));
        assertEquals(
                "{\"action\":\"processRecords\",\"records\":[{},{}],\"millisBehindLatest\":null,"
                        + "\"deadlineNanos\":1234567890123,\"fencingToken\":7}\n",
                text(ours.line(
                        new RecordsHeader(null, lease),
                        List.of(
                                Slice.of("{}".getBytes(StandardCharsets.UTF_8)),
                                new Slice("[{}]".getBytes(StandardCharsets.UTF_8), 1, 2)))));
        assertEquals(
                "{\"action\":\"lease\",\"deadlineNanos\":1234567890123,\"fencingToken\":7}\n",
                text(ours.line(new LeaseMessage(lease))));
    }

    @Test
    void onlyAWorkerOfOursAcknowledges() throws JsonProcessingException {
        String line = "{\"action\": \"acknowledge\", \"sequenceNumber\": \"101\"}";
        assertEquals("101", ((AcknowledgeMessage) ours.decode(line)).getSequenceNumber());
        assertInstanceOf(ProgressMessage.class, ours.decode("{\"action\": \"progress\"}"));
        String fatal = "{\"action\": \"fatal\", \"reason\": \"no such table\"}";
        assertEquals("no such table", ((FatalMessage) ours.decode(fatal)).getReason());
        assertThrows(JsonProcessingException.class, () -> stock.decode(fatal));
        assertInstanceOf(LeaseMessage.class, ours.decode("{\"action\": \"lease\"}"));
        assertInstanceOf(
                CheckpointMessage.class, ours.decode("{\"action\": \"checkpoint\", \"sequenceNumber\": \"1\"}"));
        assertThrows(JsonProcessingException.class, () -> stock.decode(line));
        assertThrows(JsonProcessingException.class, () -> ours.decode("{\"action\": \"hello\"}"));
    }
}
