package recordprocessor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.Identity;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

/** The examples in docs/protocol.md, which Python's tests read, too. */
final class WireExamples {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** What is said, and its bytes. */
    record Example(JsonNode said, String hex) {
        byte[] bytes() {
            return HexFormat.of().parseHex(hex);
        }
    }

    private WireExamples() {}

    /** Those of the fenced blocks of one language. */
    static List<Example> of(String language) throws IOException {
        List<Example> examples = new ArrayList<>();
        boolean inside = false;
        JsonNode said = null;
        StringBuilder hex = new StringBuilder();
        for (String line : Files.readAllLines(Path.of("docs/protocol.md"))) {
            if (line.equals("```" + language)) {
                inside = true;
            } else if (inside && (line.startsWith("{") || line.equals("```"))) {
                if (said != null) {
                    examples.add(new Example(said, hex.toString()));
                }
                inside = line.startsWith("{");
                said = inside ? JSON.readTree(line) : null;
                hex.setLength(0);
            } else if (inside) {
                hex.append(line.replace(" ", ""));
            }
        }
        return examples;
    }

    /** As a worker gets it. */
    static byte[] frame(RecordsHeader header, List<Slice> records) {
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        frame.writeBytes(MessagePackWire.head(header, records));
        records.forEach(each -> frame.write(each.array(), each.offset(), each.length()));
        return frame.toByteArray();
    }

    static Record event(JsonNode json) throws IOException {
        JsonNode stream = json.path("dynamodb");
        StreamRecord.Builder builder = StreamRecord.builder()
                .sequenceNumber(text(stream, "SequenceNumber"))
                .streamViewType(text(stream, "StreamViewType"));
        if (stream.has("ApproximateCreationDateTime")) {
            builder.approximateCreationDateTime(java.time.Instant.ofEpochMilli(
                    stream.path("ApproximateCreationDateTime").asLong()));
        }
        if (stream.has("SizeBytes")) {
            builder.sizeBytes(stream.path("SizeBytes").asLong());
        }
        if (stream.has("Keys")) {
            builder.keys(map(stream.path("Keys")));
        }
        if (stream.has("NewImage")) {
            builder.newImage(map(stream.path("NewImage")));
        }
        if (stream.has("OldImage")) {
            builder.oldImage(map(stream.path("OldImage")));
        }
        Identity identity = json.has("userIdentity")
                ? Identity.builder()
                        .type(text(json.path("userIdentity"), "type"))
                        .principalId(text(json.path("userIdentity"), "principalId"))
                        .build()
                : null;
        return Record.builder()
                .eventID(text(json, "eventID"))
                .eventName(text(json, "eventName"))
                .eventVersion(text(json, "eventVersion"))
                .eventSource(text(json, "eventSource"))
                .awsRegion(text(json, "awsRegion"))
                .userIdentity(identity)
                .dynamodb(builder.build())
                .build();
    }

    static AttributeValue value(JsonNode json) throws IOException {
        String type = json.fieldNames().next();
        JsonNode content = json.path(type);
        return switch (type) {
            case "S" -> AttributeValue.fromS(content.asText());
            case "N" -> AttributeValue.fromN(content.asText());
            case "B" -> AttributeValue.fromB(SdkBytes.fromByteArray(content.binaryValue()));
            case "BOOL" -> AttributeValue.fromBool(content.asBoolean());
            case "NULL" -> AttributeValue.fromNul(true);
            case "M" -> AttributeValue.fromM(map(content));
            case "L" -> {
                List<AttributeValue> elements = new ArrayList<>();
                for (JsonNode element : content) {
                    elements.add(value(element));
                }
                yield AttributeValue.fromL(elements);
            }
            case "SS" -> AttributeValue.fromSs(texts(content));
            case "NS" -> AttributeValue.fromNs(texts(content));
            case "BS" -> {
                List<SdkBytes> elements = new ArrayList<>();
                for (JsonNode element : content) {
                    elements.add(SdkBytes.fromByteArray(element.binaryValue()));
                }
                yield AttributeValue.fromBs(elements);
            }
            default -> throw new AssertionError(type);
        };
    }

    private static Map<String, AttributeValue> map(JsonNode json) throws IOException {
        Map<String, AttributeValue> attributes = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> attribute : json.properties()) {
            attributes.put(attribute.getKey(), value(attribute.getValue()));
        }
        return attributes;
    }

    static String text(JsonNode json, String name) {
        return json.path(name).isTextual() ? json.path(name).asText() : null;
    }

    private static List<String> texts(JsonNode array) {
        List<String> found = new ArrayList<>();
        array.forEach(each -> found.add(each.asText()));
        return found;
    }
}
