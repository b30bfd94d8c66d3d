package recordprocessor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePacker;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.Identity;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

/** A stream's record and DynamoDB's values in MessagePack, as docs/protocol.md has them. */
final class MessagePackRecord {
    private static final int RECORD_FIELDS = 6;
    private static final int DETAIL_FIELDS = 8;
    private static final byte NUMBER = 1;
    private static final byte STRING_SET = 2;
    private static final byte NUMBER_SET = 3;
    private static final byte BINARY_SET = 4;
    private static final byte FRACTION = 5;
    /** DynamoDB allows 32 levels; this only keeps a value that cannot be from ending the thread. */
    private static final int MAX_DEPTH = 100;

    private static final int MAX_LONG_CHARS = 20;

    /** Each thread's own: a packer begins with 8 KB, and a record takes three, one inside the other. */
    private static final ThreadLocal<Deque<MessageBufferPacker>> SPARE = ThreadLocal.withInitial(ArrayDeque::new);

    /** Writes something. */
    interface Content {
        void pack(MessagePacker packer) throws IOException;
    }

    private MessagePackRecord() {}

    static byte[] encode(Record event) {
        return bytes(packer -> record(packer, event));
    }

    static byte[] encode(AttributeValue attribute) {
        return bytes(packer -> value(packer, attribute, 0));
    }

    private static void record(MessagePacker packer, Record event) throws IOException {
        StreamRecord stream = event.dynamodb();
        packer.packArrayHeader(RECORD_FIELDS);
        string(packer, stream.sequenceNumber());
        string(packer, event.eventNameAsString());
        if (stream.hasKeys()) {
            map(packer, stream.keys(), 0);
        } else {
            packer.packNil();
        }
        image(packer, stream.hasNewImage(), stream.newImage());
        image(packer, stream.hasOldImage(), stream.oldImage());
        binary(packer, bytes(inner -> details(inner, event, stream)));
    }

    /** What few handlers look at. */
    private static void details(MessagePacker packer, Record event, StreamRecord stream) throws IOException {
        packer.packArrayHeader(DETAIL_FIELDS);
        string(packer, event.eventID());
        Instant created = stream.approximateCreationDateTime();
        integer(packer, created == null ? null : created.toEpochMilli());
        integer(packer, stream.sizeBytes());
        string(packer, stream.streamViewTypeAsString());
        identity(packer, event.userIdentity());
        string(packer, event.eventVersion());
        string(packer, event.eventSource());
        string(packer, event.awsRegion());
    }

    /** A buffer of its own, so that nobody has to read an image to get past it. */
    private static void image(MessagePacker packer, boolean present, Map<String, AttributeValue> attributes)
            throws IOException {
        if (!present) {
            packer.packNil();
            return;
        }
        binary(packer, bytes(inner -> map(inner, attributes, 0)));
    }

    private static void identity(MessagePacker packer, Identity identity) throws IOException {
        if (identity == null) {
            packer.packNil();
            return;
        }
        packer.packArrayHeader(2);
        string(packer, identity.type());
        string(packer, identity.principalId());
    }

    private static void value(MessagePacker packer, AttributeValue attribute, int depth) throws IOException {
        if (depth > MAX_DEPTH) {
            throw new IllegalArgumentException("a value has more than " + MAX_DEPTH + " levels");
        }
        switch (attribute.type()) {
            case S -> string(packer, attribute.s());
            case N -> number(packer, attribute.n());
            case B -> binary(packer, attribute.b().asByteArrayUnsafe());
            case BOOL -> packer.packBoolean(attribute.bool());
            case NUL -> packer.packNil();
            case L -> {
                packer.packArrayHeader(attribute.l().size());
                for (AttributeValue element : attribute.l()) {
                    value(packer, element, depth + 1);
                }
            }
            case M -> map(packer, attribute.m(), depth);
            case SS -> set(packer, STRING_SET, attribute.ss(), MessagePackRecord::string);
            case NS -> set(packer, NUMBER_SET, attribute.ns(), MessagePackRecord::number);
            case BS -> set(packer, BINARY_SET, attribute.bs(), MessagePackRecord::binary);
            default -> throw new IllegalArgumentException("a value of a type that is not known here");
        }
    }

    private static void map(MessagePacker packer, Map<String, AttributeValue> attributes, int depth)
            throws IOException {
        packer.packMapHeader(attributes.size());
        for (Map.Entry<String, AttributeValue> attribute : attributes.entrySet()) {
            string(packer, attribute.getKey());
            value(packer, attribute.getValue(), depth + 1);
        }
    }

    private interface Element<T> {
        void pack(MessagePacker packer, T element) throws IOException;
    }

    private static <T> void set(MessagePacker packer, byte type, List<T> elements, Element<T> element)
            throws IOException {
        byte[] content = bytes(inner -> {
            inner.packArrayHeader(elements.size());
            for (T each : elements) {
                element.pack(inner, each);
            }
        });
        packer.packExtensionTypeHeader(type, content.length);
        packer.writePayload(content);
    }

    private static void number(MessagePacker packer, String text) throws IOException {
        Long whole = whole(text);
        if (whole != null) {
            packer.packLong(whole);
            return;
        }
        byte[] content = utf8(text);
        packer.packExtensionTypeHeader(isPlainFraction(text) ? FRACTION : NUMBER, content.length);
        packer.writePayload(content);
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

    private static void integer(MessagePacker packer, Long value) throws IOException {
        if (value == null) {
            packer.packNil();
        } else {
            packer.packLong(value);
        }
    }

    static void string(MessagePacker packer, String text) throws IOException {
        if (text == null) {
            packer.packNil();
            return;
        }
        byte[] content = utf8(text);
        packer.packRawStringHeader(content.length);
        packer.writePayload(content);
    }

    private static void binary(MessagePacker packer, SdkBytes content) throws IOException {
        binary(packer, content.asByteArrayUnsafe());
    }

    private static void binary(MessagePacker packer, byte[] content) throws IOException {
        packer.packBinaryHeader(content.length);
        packer.writePayload(content);
    }

    /** Java would write half a surrogate pair as a question mark; that would be a wrong key, silently. */
    private static byte[] utf8(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isSurrogate(c)) {
                boolean pair = Character.isHighSurrogate(c)
                        && i + 1 < text.length()
                        && Character.isLowSurrogate(text.charAt(i + 1));
                if (!pair) {
                    throw new IllegalArgumentException("a string has half a surrogate pair, which UTF-8 cannot say");
                }
                i++;
            }
        }
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] bytes(Content content) {
        Deque<MessageBufferPacker> spare = SPARE.get();
        MessageBufferPacker packer = spare.isEmpty() ? MessagePack.newDefaultBufferPacker() : spare.pop();
        try {
            content.pack(packer);
            return packer.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException("memory cannot be written to", e);
        } finally {
            packer.clear();
            spare.push(packer);
        }
    }
}
