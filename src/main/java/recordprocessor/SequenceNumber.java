package recordprocessor;

import java.math.BigInteger;

/**
 * A record's place in its shard; sequence numbers are whole numbers of any length, and compare as such.
 *
 * @param text as it came: DynamoDB Local's have zeros in front, without which it does not know them again
 */
record SequenceNumber(BigInteger value, String text) implements Comparable<SequenceNumber> {
    static final SequenceNumber NONE = new SequenceNumber(BigInteger.ONE.negate(), "-1");

    /** Sentinels such as TRIM_HORIZON come before every record. */
    static SequenceNumber of(String text) {
        return text != null && text.matches("\\d+") ? new SequenceNumber(new BigInteger(text), text) : NONE;
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
    public boolean equals(Object other) {
        return other instanceof SequenceNumber number && value.equals(number.value);
    }

    @Override
    public int hashCode() {
        return value.hashCode();
    }

    @Override
    public String toString() {
        return text;
    }
}
