package recordprocessor;

import java.util.Arrays;

/**
 * Bytes of MessagePack, which grow. A header may be put in front of what is written already: what comes out of JSON is
 * not counted before it has been read.
 */
final class MessagePackBuffer {
    private static final int FIRST_BYTES = 1024;
    /** A larger array is not kept for what comes next. */
    private static final int MAX_KEPT_BYTES = 256 * 1024;

    private static final int MAX_UTF8_BYTES = 3;
    private static final int MAX_HEADER_BYTES = 6;

    private byte[] bytes = new byte[FIRST_BYTES];
    private char[] chars = new char[0];
    private int size;

    /** What a header says the length of; its codes, of which 0 is none. */
    private enum Kind {
        STRING(0xa0, 31, 0xd9, 0xda, 0xdb),
        BINARY(0, -1, 0xc4, 0xc5, 0xc6),
        ARRAY(0x90, 15, 0, 0xdc, 0xdd),
        MAP(0x80, 15, 0, 0xde, 0xdf),
        EXTENSION(0, -1, 0xc7, 0xc8, 0xc9);

        private final int fixed;
        private final int fixedMaximum;
        private final int code8;
        private final int code16;
        private final int code32;

        Kind(int fixed, int fixedMaximum, int code8, int code16, int code32) {
            this.fixed = fixed;
            this.fixedMaximum = fixedMaximum;
            this.code8 = code8;
            this.code16 = code16;
            this.code32 = code32;
        }

        int headerBytes(int length) {
            if (length <= fixedMaximum) {
                return 1;
            }
            if (length < 1 << 8 && code8 != 0) {
                return 2;
            }
            return length < 1 << 16 ? 3 : 5;
        }
    }

    int size() {
        return size;
    }

    void clear() {
        size = 0;
        if (bytes.length > MAX_KEPT_BYTES) {
            bytes = new byte[FIRST_BYTES];
        }
        if (chars.length > MAX_KEPT_BYTES) {
            chars = new char[0];
        }
    }

    byte[] toByteArray() {
        return Arrays.copyOf(bytes, size);
    }

    void copyTo(byte[] target, int offset) {
        System.arraycopy(bytes, 0, target, offset, size);
    }

    void nil() {
        put(0xc0);
    }

    void bool(boolean value) {
        put(value ? 0xc3 : 0xc2);
    }

    void integer(long value) {
        if (value >= 0) {
            natural(value);
        } else if (value >= -32) {
            put((int) value);
        } else if (value >= Byte.MIN_VALUE) {
            coded(0xd0, value, 1);
        } else if (value >= Short.MIN_VALUE) {
            coded(0xd1, value, 2);
        } else if (value >= Integer.MIN_VALUE) {
            coded(0xd2, value, 4);
        } else {
            coded(0xd3, value, 8);
        }
    }

    void integerOrNil(Long value) {
        if (value == null) {
            nil();
        } else {
            integer(value);
        }
    }

    private void natural(long value) {
        if (value < 1 << 7) {
            put((int) value);
        } else if (value < 1 << 8) {
            coded(0xcc, value, 1);
        } else if (value < 1 << 16) {
            coded(0xcd, value, 2);
        } else if (value < 1L << 32) {
            coded(0xce, value, 4);
        } else {
            coded(0xcf, value, 8);
        }
    }

    /** @throws IllegalArgumentException if it has half a surrogate pair */
    void string(String text) {
        if (text == null) {
            nil();
        } else {
            string(chars(text), 0, text.length());
        }
    }

    /** A string's UTF-8 without its header. */
    void text(String text) {
        room(MAX_UTF8_BYTES * text.length());
        utf8(chars(text), 0, text.length());
    }

    private char[] chars(String text) {
        if (chars.length < text.length()) {
            chars = new char[Math.max(text.length(), 2 * chars.length)];
        }
        text.getChars(0, text.length(), chars, 0);
        return chars;
    }

    /** @throws IllegalArgumentException if it has half a surrogate pair */
    void string(char[] text, int from, int length) {
        int expected = Kind.STRING.headerBytes(length);
        room(MAX_HEADER_BYTES + MAX_UTF8_BYTES * length);
        int header = size;
        size += expected;
        utf8(text, from, from + length);
        int content = size - header - expected;
        int actual = Kind.STRING.headerBytes(content);
        if (actual != expected) {
            System.arraycopy(bytes, header + expected, bytes, header + actual, content);
            size += actual - expected;
        }
        header(header, Kind.STRING, content);
    }

    private void utf8(char[] text, int from, int to) {
        int at = from;
        int end = size;
        while (at < to && text[at] < 0x80) {
            bytes[end++] = (byte) text[at++];
        }
        while (at < to) {
            char c = text[at++];
            if (c < 0x80) {
                bytes[end++] = (byte) c;
            } else if (c < 0x800) {
                bytes[end++] = (byte) (0xc0 | (c >> 6));
                bytes[end++] = (byte) (0x80 | (c & 0x3f));
            } else if (!Character.isSurrogate(c)) {
                bytes[end++] = (byte) (0xe0 | (c >> 12));
                bytes[end++] = (byte) (0x80 | ((c >> 6) & 0x3f));
                bytes[end++] = (byte) (0x80 | (c & 0x3f));
            } else {
                // Java's own encoder would write a question mark; that would be a wrong key, silently.
                if (!Character.isHighSurrogate(c) || at == to || !Character.isLowSurrogate(text[at])) {
                    throw new IllegalArgumentException("a string has half a surrogate pair, which UTF-8 cannot say");
                }
                int point = Character.toCodePoint(c, text[at++]);
                bytes[end++] = (byte) (0xf0 | (point >> 18));
                bytes[end++] = (byte) (0x80 | ((point >> 12) & 0x3f));
                bytes[end++] = (byte) (0x80 | ((point >> 6) & 0x3f));
                bytes[end++] = (byte) (0x80 | (point & 0x3f));
            }
        }
        size = end;
    }

    void binary(byte[] content) {
        int start = size;
        raw(content, 0, content.length);
        asBinary(start);
    }

    private void raw(byte[] content, int from, int length) {
        room(length);
        System.arraycopy(content, from, bytes, size, length);
        size += length;
    }

    /** A part of another, which is MessagePack already. */
    void part(MessagePackBuffer other, int from, int to) {
        raw(other.bytes, from, to - from);
    }

    void mapHeader(int count) {
        asMap(size, count);
    }

    void arrayHeader(int count) {
        asArray(size, count);
    }

    /** What was written since is the content of a map. */
    void asMap(int start, int count) {
        insert(start, Kind.MAP.headerBytes(count));
        header(start, Kind.MAP, count);
    }

    /** What was written since is the content of an array. */
    void asArray(int start, int count) {
        insert(start, Kind.ARRAY.headerBytes(count));
        header(start, Kind.ARRAY, count);
    }

    /** What was written since is a value of bytes. */
    void asBinary(int start) {
        int length = size - start;
        insert(start, Kind.BINARY.headerBytes(length));
        header(start, Kind.BINARY, length);
    }

    /** What was written since is a value of a type of ours. */
    void asExtension(int start, byte type) {
        int length = size - start;
        int fixed = fixedExtension(length);
        int headerBytes = fixed != 0 ? 1 : Kind.EXTENSION.headerBytes(length);
        insert(start, headerBytes + 1);
        if (fixed != 0) {
            bytes[start] = (byte) fixed;
        } else {
            header(start, Kind.EXTENSION, length);
        }
        bytes[start + headerBytes] = type;
    }

    private static int fixedExtension(int length) {
        return switch (length) {
            case 1 -> 0xd4;
            case 2 -> 0xd5;
            case 4 -> 0xd6;
            case 8 -> 0xd7;
            case 16 -> 0xd8;
            default -> 0;
        };
    }

    private void insert(int start, int count) {
        room(count);
        System.arraycopy(bytes, start, bytes, start + count, size - start);
        size += count;
    }

    private void header(int at, Kind kind, int length) {
        switch (kind.headerBytes(length)) {
            case 1 -> bytes[at] = (byte) (kind.fixed | length);
            case 2 -> {
                bytes[at] = (byte) kind.code8;
                number(at + 1, length, 1);
            }
            case 3 -> {
                bytes[at] = (byte) kind.code16;
                number(at + 1, length, 2);
            }
            default -> {
                bytes[at] = (byte) kind.code32;
                number(at + 1, length, 4);
            }
        }
    }

    private void coded(int code, long value, int count) {
        put(code);
        room(count);
        number(size, value, count);
        size += count;
    }

    private void number(int at, long value, int count) {
        for (int i = 0; i < count; i++) {
            bytes[at + i] = (byte) (value >> (8 * (count - 1 - i)));
        }
    }

    private void put(int value) {
        room(1);
        bytes[size++] = (byte) value;
    }

    private void room(int more) {
        if (bytes.length - size < more) {
            bytes = Arrays.copyOf(bytes, Math.max(size + more, 2 * bytes.length));
        }
    }
}
