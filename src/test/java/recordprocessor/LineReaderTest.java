package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class LineReaderTest {
    private static List<LineReader.Line> lines(InputStream in) throws IOException {
        LineReader reader = new LineReader(in);
        List<LineReader.Line> lines = new ArrayList<>();
        for (LineReader.Line line = reader.read(); line != null; line = reader.read()) {
            lines.add(line);
        }
        return lines;
    }

    private static InputStream bytes(String text) {
        return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
    }

    /** A pipe that gives what it has in pieces of any size. */
    private static final class Trickle extends InputStream {
        private final InputStream in;
        private final Random random;

        Trickle(InputStream in, long seed) {
            this.in = in;
            this.random = new Random(seed);
        }

        @Override
        public int read() throws IOException {
            return in.read();
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            return in.read(buffer, offset, Math.min(length, 1 + random.nextInt(7)));
        }
    }

    @Test
    void linesComeAsTheyWereWrittenHoweverThePipeCutsThem() throws IOException {
        for (long seed = 0; seed < 50; seed++) {
            List<String> texts = lines(new Trickle(bytes("a\n\nżółw 🐢\n{\"x\": 1}\nlast"), seed)).stream()
                    .map(LineReader.Line::text)
                    .toList();
            assertEquals(List.of("a", "", "żółw 🐢", "{\"x\": 1}", "last"), texts, "seed " + seed);
        }
    }

    @Test
    void aLineOverTheLimitComesInPiecesNoneOfWhichIsAMessage() throws IOException {
        List<LineReader.Line> lines = lines(bytes("x".repeat(LineReader.MAX_LINE_BYTES * 4 + 3) + "\nnext\n"));
        assertEquals(6, lines.size());
        lines.subList(0, 5).forEach(piece -> assertFalse(piece.whole()));
        assertTrue(lines.get(5).whole());
        assertEquals("next", lines.get(5).text());
    }
}
