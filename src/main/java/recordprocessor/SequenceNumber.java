package recordprocessor;

import java.math.BigInteger;

/** A record's place in its shard; sequence numbers are whole numbers of any length, and compare as such. */
record SequenceNumber(BigInteger value) implements Comparable<SequenceNumber> {
    static final SequenceNumber NONE = new SequenceNumber(BigInteger.ONE.negate());

    /** Sentinels such as TRIM_HORIZON come before every record. */
    static SequenceNumber of(String text) {
        return text != null && text.matches("\\d+") ? new SequenceNumber(new BigInteger(text)) : NONE;
    }

    SequenceNumber max(SequenceNumber other) {
        return compareTo(other) >= 0 ? this : other;
    }

    boolean isAfter(SequenceNumber other) {
        return compareTo(other) > 0;
    }

    @Override
    public int compareTo(SequenceNumber other) {
        return value.compareTo(other.value);
    }

    @Override
    public String toString() {
        return value.toString();
    }
}
