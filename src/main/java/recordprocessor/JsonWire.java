package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.adapter.DynamoDBStreamsClientRecord;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.multilang.messages.JsonFriendlyRecord;
import software.amazon.kinesis.multilang.messages.Message;

/** MultiLang's stock bytes: a line of JSON for each message; for our own workers with what only they say and hear. */
final class JsonWire {
    private final ObjectMapper json = JsonMapper.builder()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    JsonWire(boolean stockProgram) {
        if (!stockProgram) {
            json.registerSubtypes(
                    AcknowledgeMessage.class, LeaseMessage.class, ProgressMessage.class, FatalMessage.class);
        }
    }

    byte[] encode(Record event) {
        return bytes(JsonFriendlyRecord.fromKinesisClientRecord(DynamoDBStreamsClientRecord.fromRecord(event)));
    }

    byte[] line(Message message) {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        line.writeBytes(bytes(message));
        line.write('\n');
        return line.toByteArray();
    }

    /** KCL's ProcessRecordsMessage, its records being JSON already. */
    byte[] line(RecordsHeader header, List<Slice> records) {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        line.writeBytes(ascii("{\"action\":\"processRecords\",\"records\":["));
        for (int i = 0; i < records.size(); i++) {
            if (i > 0) {
                line.write(',');
            }
            Slice record = records.get(i);
            line.write(record.array(), record.offset(), record.length());
        }
        line.writeBytes(ascii("],\"millisBehindLatest\":" + header.millisBehindLatest()));
        if (header.lease() != null) {
            line.writeBytes(ascii(",\"deadlineNanos\":" + header.lease().deadlineNanos()));
            line.writeBytes(ascii(",\"fencingToken\":" + header.lease().fencingToken()));
        }
        line.writeBytes(ascii("}\n"));
        return line.toByteArray();
    }

    Message decode(String line) throws JsonProcessingException {
        return json.readValue(line, Message.class);
    }

    private byte[] bytes(Object message) {
        try {
            return json.writeValueAsBytes(message);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("not to be written as JSON: " + e.getOriginalMessage(), e);
        }
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
