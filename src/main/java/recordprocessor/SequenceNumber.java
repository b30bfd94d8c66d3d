package recordprocessor;

/** A record's place in its shard; sequence numbers are whole numbers of any length, and compare as such. */
final class SequenceNumber implements Comparable<SequenceNumber> {
    static final SequenceNumber NONE = new SequenceNumber("-1", "");

    /** As it came: DynamoDB Local's have zeros in front, without which it does not know them again. */
    private final String text;
    /** Without zeros in front, so that the longer one is greater. NONE has none. */
    private final String digits;

    private SequenceNumber(String text, String digits) {
        this.text = text;
        this.digits = digits;
    }

    /** Sentinels such as TRIM_HORIZON come before every record. */
    static SequenceNumber of(String text) {
        if (text == null || text.isEmpty()) {
            return NONE;
        }
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '9') {
                return NONE;
            }
        }
        int zeros = 0;
        while (zeros < text.length() - 1 && text.charAt(zeros) == '0') {
            zeros++;
        }
        return new SequenceNumber(text, text.substring(zeros));
    }

    SequenceNumber max(SequenceNumber other) {
        return compareTo(other) >= 0 ? this : other;
    }

    boolean isAfter(SequenceNumber other) {
        return compareTo(other) > 0;
    }

    @Override
    public int compareTo(SequenceNumber other) {
        int difference = digits.length() - other.digits.length();
        return difference != 0 ? difference : digits.compareTo(other.digits);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof SequenceNumber number && digits.equals(number.digits);
    }

    @Override
    public int hashCode() {
        return digits.hashCode();
    }

    @Override
    public String toString() {
        return text;
    }
}
