package recordprocessor;

/** A part of an array: an encoded record, among others that were read with it. */
final class Slice {
    private final byte[] array;
    private final int offset;
    private final int length;

    Slice(byte[] array, int offset, int length) {
        this.array = array;
        this.offset = offset;
        this.length = length;
    }

    static Slice of(byte[] whole) {
        return new Slice(whole, 0, whole.length);
    }

    byte[] array() {
        return array;
    }

    int offset() {
        return offset;
    }

    int length() {
        return length;
    }
}
