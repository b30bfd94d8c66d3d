package recordprocessor;

import java.util.ArrayList;
import java.util.List;

/** Records that go to the shard's process as one message, in order, encoded; never empty. */
record Batch(List<Kept> records, Long millisBehindLatest) {
    /** One record as it goes over the wire. */
    static final class Kept {
        private final SequenceNumber number;
        private final Slice encoded;

        Kept(SequenceNumber number, Slice encoded) {
            this.number = number;
            this.encoded = encoded;
        }

        SequenceNumber number() {
            return number;
        }

        Slice encoded() {
            return encoded;
        }
    }

    SequenceNumber first() {
        return records.get(0).number();
    }

    SequenceNumber last() {
        return records.get(records.size() - 1).number();
    }

    long byteCount() {
        return records.stream().mapToLong(each -> each.encoded().length()).sum();
    }

    List<Slice> encoded() {
        return records.stream().map(Kept::encoded).toList();
    }

    /** How many of the records are up to this number. */
    int countUpTo(SequenceNumber number) {
        int count = 0;
        while (count < records.size() && !records.get(count).number().isAfter(number)) {
            count++;
        }
        return count;
    }

    /** Without its first records. */
    Batch without(int count) {
        return new Batch(List.copyOf(records.subList(count, records.size())), millisBehindLatest);
    }

    /** In parts that stay under so many bytes, unless a single record has more. */
    List<Batch> parts(long maximumBytes) {
        List<Batch> parts = new ArrayList<>();
        List<Kept> part = new ArrayList<>();
        long partBytes = 0;
        for (Kept each : records) {
            if (!part.isEmpty() && partBytes + each.encoded().length() > maximumBytes) {
                parts.add(new Batch(List.copyOf(part), millisBehindLatest));
                part.clear();
                partBytes = 0;
            }
            part.add(each);
            partBytes += each.encoded().length();
        }
        parts.add(new Batch(List.copyOf(part), millisBehindLatest));
        return parts;
    }
}
