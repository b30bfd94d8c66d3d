package recordprocessor;

import java.time.Instant;
import java.util.EnumMap;
import java.util.Map;

/**
 * A stream's record in MessagePack, as docs/protocol.md has it, put together of its parts, which come in any order. One
 * is used again and again.
 */
final class RecordParts {
    private static final int RECORD_FIELDS = 6;
    private static final int DETAIL_FIELDS = 8;

    private static final ThreadLocal<RecordParts> OF_THREAD = ThreadLocal.withInitial(RecordParts::new);

    private final MessagePackBuffer attributes = new MessagePackBuffer();
    private final MessagePackBuffer record = new MessagePackBuffer();
    private final Map<Section, Range> sections = new EnumMap<>(Section.class);
    private final Map<Text, String> texts = new EnumMap<>(Text.class);
    private Instant created;
    private Long sizeBytes;
    private boolean hasIdentity;

    private record Range(int from, int to) {}

    /** What has attributes. */
    enum Section {
        KEYS,
        NEW_IMAGE,
        OLD_IMAGE
    }

    /** What is text. */
    enum Text {
        SEQUENCE_NUMBER,
        EVENT_NAME,
        EVENT_ID,
        STREAM_VIEW_TYPE,
        IDENTITY_TYPE,
        PRINCIPAL_ID,
        EVENT_VERSION,
        EVENT_SOURCE,
        AWS_REGION
    }

    private RecordParts() {}

    /** This thread's own, with the record before still in it. */
    static RecordParts ofThread() {
        return OF_THREAD.get();
    }

    /** Forgets the record before. */
    void clear() {
        attributes.clear();
        record.clear();
        sections.clear();
        texts.clear();
        created = null;
        sizeBytes = null;
        hasIdentity = false;
    }

    /** Where the attributes of sections are written, each as a map. */
    MessagePackBuffer attributes() {
        return attributes;
    }

    /** What was written since is a section. */
    void set(Section section, int start) {
        sections.put(section, new Range(start, attributes.size()));
    }

    void set(Text which, String value) {
        texts.put(which, value);
    }

    String get(Text which) {
        return texts.get(which);
    }

    void created(Instant value) {
        created = value;
    }

    /** Null if the stream does not say. */
    Instant created() {
        return created;
    }

    void sizeBytes(Long value) {
        sizeBytes = value;
    }

    /** Null if the stream does not say. */
    Long sizeBytes() {
        return sizeBytes;
    }

    void hasIdentity() {
        hasIdentity = true;
    }

    /** The whole record; valid until the next one. */
    MessagePackBuffer encode() {
        record.arrayHeader(RECORD_FIELDS);
        text(Text.SEQUENCE_NUMBER);
        text(Text.EVENT_NAME);
        section(Section.KEYS);
        image(Section.NEW_IMAGE);
        image(Section.OLD_IMAGE);
        int start = record.size();
        details();
        record.asBinary(start);
        return record;
    }

    /** Nobody has to read an image to get past it. */
    private void image(Section section) {
        int start = record.size();
        section(section);
        if (sections.containsKey(section)) {
            record.asBinary(start);
        }
    }

    private void section(Section section) {
        Range range = sections.get(section);
        if (range == null) {
            record.nil();
        } else {
            record.part(attributes, range.from(), range.to());
        }
    }

    /** What few handlers look at. */
    private void details() {
        record.arrayHeader(DETAIL_FIELDS);
        text(Text.EVENT_ID);
        record.integerOrNil(created == null ? null : created.toEpochMilli());
        record.integerOrNil(sizeBytes);
        text(Text.STREAM_VIEW_TYPE);
        if (hasIdentity) {
            record.arrayHeader(2);
            text(Text.IDENTITY_TYPE);
            text(Text.PRINCIPAL_ID);
        } else {
            record.nil();
        }
        text(Text.EVENT_VERSION);
        text(Text.EVENT_SOURCE);
        text(Text.AWS_REGION);
    }

    private void text(Text which) {
        record.string(texts.get(which));
    }
}
