package recordprocessor;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** Lines of UTF-8 out of a child's pipe, whatever comes; a line over the limit comes in pieces. */
final class LineReader {
    /** Longer than any message of a child or log line should be, short enough to hold one for each shard. */
    static final int MAX_LINE_BYTES = 256 * 1024;

    private final InputStream in;
    private final byte[] buffer = new byte[64 * 1024];
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private int position;
    private int limit;
    private boolean inPieces;

    /** A line, or a piece of one that is too long to be a message. */
    record Line(String text, boolean whole) {}

    LineReader(InputStream in) {
        this.in = in;
    }

    /** The next line without its end, or null at the end of the stream. */
    Line read() throws IOException {
        line.reset();
        while (true) {
            if (position == limit && !fill()) {
                return line.size() == 0 ? null : take(false);
            }
            int end = position;
            int stop = Math.min(limit, position + MAX_LINE_BYTES - line.size());
            while (end < stop && buffer[end] != '\n') {
                end++;
            }
            line.write(buffer, position, end - position);
            position = end;
            if (end < limit && buffer[end] == '\n') {
                position++;
                return take(false);
            }
            if (line.size() == MAX_LINE_BYTES) {
                return take(true);
            }
        }
    }

    private Line take(boolean more) {
        boolean whole = !inPieces && !more;
        inPieces = more;
        return new Line(line.toString(StandardCharsets.UTF_8), whole);
    }

    private boolean fill() throws IOException {
        position = 0;
        limit = Math.max(0, in.read(buffer));
        return limit > 0;
    }
}
