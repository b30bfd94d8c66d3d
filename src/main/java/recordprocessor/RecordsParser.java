package recordprocessor;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import recordprocessor.RecordParts.Section;
import recordprocessor.RecordParts.Text;

/**
 * Reads an answer of GetRecords as it comes over HTTP, each record straight from its JSON into the bytes that the shard's
 * process gets. The SDK would make some hundred objects of a record in between.
 *
 * <p>The names are those of the API reference of DynamoDB Streams.
 */
final class RecordsParser {
    /** What attributes are called is the table's matter: no name stays, and none is suspicious. */
    private static final JsonFactory JSON = JsonFactory.builder()
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.FAIL_ON_SYMBOL_HASH_OVERFLOW)
            .build();

    /** Records share arrays, each twice as long as the one before. A longer one would fill a region of the heap alone. */
    private static final int FIRST_CHUNK_BYTES = 1024;

    private static final int MAX_CHUNK_BYTES = 256 * 1024;

    private final JsonParser json;
    private final Predicate<Instant> isOlder;
    private final RecordParts parts = RecordParts.ofThread();
    private final List<ReadRecord> records = new ArrayList<>();
    private byte[] chunk = {};
    private int used;

    private RecordsParser(JsonParser json, Predicate<Instant> isOlder) {
        this.json = json;
        this.isOlder = isOlder;
    }

    /** @param nextShardIterator null at the end of the shard */
    record Answer(List<ReadRecord> records, String nextShardIterator) {}

    /**
     * Reads up to the end of the answer's JSON.
     *
     * @param isOlder whether a record that was created then counts as handled
     * @throws IOException if it ends early, or is no JSON
     * @throws IllegalArgumentException if a value is none of DynamoDB's
     */
    static Answer parse(InputStream body, Predicate<Instant> isOlder) throws IOException {
        try (JsonParser json = JSON.createParser(body)) {
            json.disable(JsonParser.Feature.AUTO_CLOSE_SOURCE);
            return new RecordsParser(json, isOlder).answer();
        }
    }

    private Answer answer() throws IOException {
        String next = null;
        expect(json.nextToken(), JsonToken.START_OBJECT);
        while (nextField()) {
            switch (json.currentName()) {
                case "NextShardIterator" -> next = json.getText();
                case "Records" -> records();
                default -> json.skipChildren();
            }
        }
        return new Answer(records, next);
    }

    private void records() throws IOException {
        expect(json.currentToken(), JsonToken.START_ARRAY);
        while (json.nextToken() != JsonToken.END_ARRAY) {
            parts.clear();
            event();
            records.add(read());
        }
    }

    private ReadRecord read() {
        return isOlder.test(parts.created())
                ? ReadRecord.passedOver(
                        parts.get(Text.SEQUENCE_NUMBER), parts.created(), parts.sizeBytes(), ReadRecord.Use.NOT_OURS)
                : ReadRecord.handled(
                        parts.get(Text.SEQUENCE_NUMBER), parts.created(), parts.sizeBytes(), keep(parts.encode()));
    }

    private Slice keep(MessagePackBuffer encoded) {
        int length = encoded.size();
        if (chunk.length - used < length) {
            int next = Math.min(Math.max(FIRST_CHUNK_BYTES, 2 * chunk.length), MAX_CHUNK_BYTES);
            chunk = new byte[Math.max(length, next)];
            used = 0;
        }
        encoded.copyTo(chunk, used);
        used += length;
        return new Slice(chunk, used - length, length);
    }

    private void event() throws IOException {
        expect(json.currentToken(), JsonToken.START_OBJECT);
        while (nextField()) {
            switch (json.currentName()) {
                case "eventID" -> text(Text.EVENT_ID);
                case "eventName" -> text(Text.EVENT_NAME);
                case "eventVersion" -> text(Text.EVENT_VERSION);
                case "eventSource" -> text(Text.EVENT_SOURCE);
                case "awsRegion" -> text(Text.AWS_REGION);
                case "userIdentity" -> identity();
                case "dynamodb" -> stream();
                default -> json.skipChildren();
            }
        }
    }

    private void identity() throws IOException {
        expect(json.currentToken(), JsonToken.START_OBJECT);
        parts.hasIdentity();
        while (nextField()) {
            switch (json.currentName()) {
                case "Type" -> text(Text.IDENTITY_TYPE);
                case "PrincipalId" -> text(Text.PRINCIPAL_ID);
                default -> json.skipChildren();
            }
        }
    }

    private void stream() throws IOException {
        expect(json.currentToken(), JsonToken.START_OBJECT);
        while (nextField()) {
            switch (json.currentName()) {
                case "SequenceNumber" -> text(Text.SEQUENCE_NUMBER);
                case "StreamViewType" -> text(Text.STREAM_VIEW_TYPE);
                case "SizeBytes" -> parts.sizeBytes(json.getLongValue());
                case "ApproximateCreationDateTime" -> parts.created(instant());
                case "Keys" -> section(Section.KEYS);
                case "NewImage" -> section(Section.NEW_IMAGE);
                case "OldImage" -> section(Section.OLD_IMAGE);
                default -> json.skipChildren();
            }
        }
    }

    private void text(Text which) throws IOException {
        expect(json.currentToken(), JsonToken.VALUE_STRING);
        parts.set(which, json.getText());
    }

    /** Seconds; DynamoDB Local's and the API's may have a fraction, of which the SDK keeps milliseconds. */
    private Instant instant() throws IOException {
        double seconds = json.getDoubleValue();
        return seconds == Math.rint(seconds)
                ? Instant.ofEpochSecond((long) seconds)
                : Instant.ofEpochMilli(
                        new BigDecimal(json.getText()).movePointRight(3).longValue());
    }

    private void section(Section section) throws IOException {
        int start = parts.attributes().size();
        map(parts.attributes(), 0);
        parts.set(section, start);
    }

    private void map(MessagePackBuffer buffer, int depth) throws IOException {
        expect(json.currentToken(), JsonToken.START_OBJECT);
        int start = buffer.size();
        int count = 0;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            buffer.string(json.currentName());
            json.nextToken();
            value(buffer, depth + 1);
            count++;
        }
        buffer.asMap(start, count);
    }

    /** An object with one field, whose name is the type. */
    private void value(MessagePackBuffer buffer, int depth) throws IOException {
        MessagePackRecord.checkDepth(depth);
        expect(json.currentToken(), JsonToken.START_OBJECT);
        if (json.nextToken() != JsonToken.FIELD_NAME) {
            throw MessagePackRecord.unknownType();
        }
        String type = json.currentName();
        json.nextToken();
        switch (type) {
            case "S" -> string(buffer);
            case "N" -> number(buffer);
            case "B" -> binary(buffer);
            case "BOOL" -> buffer.bool(json.getBooleanValue());
            case "NULL" -> {
                json.getBooleanValue();
                buffer.nil();
            }
            case "M" -> map(buffer, depth);
            case "L" -> {
                int start = buffer.size();
                buffer.asArray(start, elements(() -> value(buffer, depth + 1)));
            }
            case "SS" -> set(buffer, MessagePackRecord.STRING_SET, () -> string(buffer));
            case "NS" -> set(buffer, MessagePackRecord.NUMBER_SET, () -> number(buffer));
            case "BS" -> set(buffer, MessagePackRecord.BINARY_SET, () -> binary(buffer));
            default -> throw MessagePackRecord.unknownType();
        }
        expect(json.nextToken(), JsonToken.END_OBJECT);
    }

    private interface Element {
        void read() throws IOException;
    }

    private void set(MessagePackBuffer buffer, byte type, Element element) throws IOException {
        int start = buffer.size();
        buffer.asArray(start, elements(element));
        buffer.asExtension(start, type);
    }

    private int elements(Element element) throws IOException {
        expect(json.currentToken(), JsonToken.START_ARRAY);
        int count = 0;
        while (json.nextToken() != JsonToken.END_ARRAY) {
            element.read();
            count++;
        }
        return count;
    }

    private void string(MessagePackBuffer buffer) throws IOException {
        expect(json.currentToken(), JsonToken.VALUE_STRING);
        buffer.string(json.getTextCharacters(), json.getTextOffset(), json.getTextLength());
    }

    private void number(MessagePackBuffer buffer) throws IOException {
        expect(json.currentToken(), JsonToken.VALUE_STRING);
        MessagePackRecord.number(buffer, json.getText());
    }

    private void binary(MessagePackBuffer buffer) throws IOException {
        expect(json.currentToken(), JsonToken.VALUE_STRING);
        buffer.binary(json.getBinaryValue());
    }

    /** Goes to the next field's value, past those that are null. */
    private boolean nextField() throws IOException {
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            if (json.nextToken() != JsonToken.VALUE_NULL) {
                return true;
            }
        }
        expect(json.currentToken(), JsonToken.END_OBJECT);
        return false;
    }

    private void expect(JsonToken actual, JsonToken expected) throws JsonParseException {
        if (actual != expected) {
            throw new JsonParseException(
                    json, "an answer of GetRecords has " + actual + " in the place of " + expected);
        }
    }
}
