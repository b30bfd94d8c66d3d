package recordprocessor;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import recordprocessor.RecordParts.Section;
import recordprocessor.RecordParts.Text;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

/** The SDK's record and DynamoDB's values in MessagePack, as docs/protocol.md has them. */
final class MessagePackRecord {
    /** DynamoDB allows 32 levels; this only keeps a value that cannot be from ending the thread. */
    private static final int MAX_DEPTH = 100;

    static final byte STRING_SET = 2;
    static final byte NUMBER_SET = 3;
    static final byte BINARY_SET = 4;
    private static final byte NUMBER = 1;
    private static final byte FRACTION = 5;
    private static final int MAX_LONG_CHARS = 20;

    private MessagePackRecord() {}

    static byte[] encode(Record event) {
        StreamRecord stream = event.dynamodb();
        RecordParts parts = RecordParts.ofThread();
        parts.clear();
        parts.set(Text.SEQUENCE_NUMBER, stream.sequenceNumber());
        parts.set(Text.EVENT_NAME, event.eventNameAsString());
        parts.set(Text.EVENT_ID, event.eventID());
        parts.set(Text.STREAM_VIEW_TYPE, stream.streamViewTypeAsString());
        parts.set(Text.EVENT_VERSION, event.eventVersion());
        parts.set(Text.EVENT_SOURCE, event.eventSource());
        parts.set(Text.AWS_REGION, event.awsRegion());
        parts.created(stream.approximateCreationDateTime());
        parts.sizeBytes(stream.sizeBytes());
        if (event.userIdentity() != null) {
            parts.hasIdentity();
            parts.set(Text.IDENTITY_TYPE, event.userIdentity().type());
            parts.set(Text.PRINCIPAL_ID, event.userIdentity().principalId());
        }
        section(parts, Section.KEYS, stream.hasKeys(), stream.keys());
        section(parts, Section.NEW_IMAGE, stream.hasNewImage(), stream.newImage());
        section(parts, Section.OLD_IMAGE, stream.hasOldImage(), stream.oldImage());
        return parts.encode().toByteArray();
    }

    private static void section(
            RecordParts parts, Section section, boolean present, Map<String, AttributeValue> attributes) {
        if (present) {
            int start = parts.attributes().size();
            map(parts.attributes(), attributes, 0);
            parts.set(section, start);
        }
    }

    static byte[] encode(AttributeValue attribute) {
        MessagePackBuffer buffer = new MessagePackBuffer();
        value(buffer, attribute, 0);
        return buffer.toByteArray();
    }

    private static void value(MessagePackBuffer buffer, AttributeValue attribute, int depth) {
        checkDepth(depth);
        switch (attribute.type()) {
            case S -> buffer.string(attribute.s());
            case N -> number(buffer, attribute.n());
            case B -> buffer.binary(attribute.b().asByteArrayUnsafe());
            case BOOL -> buffer.bool(attribute.bool());
            case NUL -> buffer.nil();
            case L -> {
                buffer.arrayHeader(attribute.l().size());
                attribute.l().forEach(element -> value(buffer, element, depth + 1));
            }
            case M -> map(buffer, attribute.m(), depth);
            case SS -> set(buffer, STRING_SET, attribute.ss(), buffer::string);
            case NS -> set(buffer, NUMBER_SET, attribute.ns(), element -> number(buffer, element));
            case BS -> set(buffer, BINARY_SET, attribute.bs(), element -> buffer.binary(element.asByteArrayUnsafe()));
            default -> throw unknownType();
        }
    }

    private static void map(MessagePackBuffer buffer, Map<String, AttributeValue> attributes, int depth) {
        buffer.mapHeader(attributes.size());
        attributes.forEach((name, attribute) -> {
            buffer.string(name);
            value(buffer, attribute, depth + 1);
        });
    }

    private static <T> void set(MessagePackBuffer buffer, byte type, List<T> elements, Consumer<T> write) {
        int start = buffer.size();
        elements.forEach(write);
        buffer.asArray(start, elements.size());
        buffer.asExtension(start, type);
    }

    static void checkDepth(int depth) {
        if (depth > MAX_DEPTH) {
            throw new IllegalArgumentException("a value has more than " + MAX_DEPTH + " levels");
        }
    }

    static IllegalArgumentException unknownType() {
        return new IllegalArgumentException("a value of a type that is not known here");
    }

    static void number(MessagePackBuffer buffer, String text) {
        Long whole = whole(text);
        if (whole != null) {
            buffer.integer(whole);
            return;
        }
        int start = buffer.size();
        buffer.text(text);
        buffer.asExtension(start, isPlainFraction(text) ? FRACTION : NUMBER);
    }

    /** What needs no second look: digits behind a point, the last of which counts. */
    private static boolean isPlainFraction(String text) {
        return text.indexOf('.') > 0 && text.indexOf('E') < 0 && text.indexOf('e') < 0 && !text.endsWith("0");
    }

    /** The number if its text is exactly how 64 bits are written; whatever else comes keeps its text. */
    private static Long whole(String text) {
        if (text.isEmpty() || text.length() > MAX_LONG_CHARS) {
            return null;
        }
        for (int i = text.charAt(0) == '-' ? 1 : 0; i < text.length(); i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '9') {
                return null;
            }
        }
        try {
            long value = Long.parseLong(text);
            return Long.toString(value).equals(text) ? value : null;
        } catch (NumberFormatException e) {
            return null;
        }
    }
}
