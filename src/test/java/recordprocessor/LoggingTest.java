package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** In a JVM of its own, whose standard output it is about. */
class LoggingTest {
    private static final int REQUESTS = 50;

    /** Floods the log from one thread and asks for workers in another. */
    static final class Main {
        private Main() {}

        public static void main(String[] args) throws InterruptedException {
            Logging.configure("INFO");
            Thread noise = new Thread(
                    () -> IntStream.range(0, 20_000).forEach(i -> LoggerFactory.getLogger("recordprocessor.noise")
                            .info("x".repeat(500))));
            noise.start();
            MDC.put(Logging.SHARD, "shardId-1");
            IntStream.rangeClosed(1, REQUESTS).forEach(Logging::startWorker);
            noise.join();
            Runtime.getRuntime().halt(0);
        }
    }

    @Test
    void aWorkerIsAskedForInAWholeLineThatIsNeverDropped() throws IOException {
        Process process = new ProcessBuilder(
                        ProcessHandle.current().info().command().orElseThrow(),
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        Main.class.getName())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        List<Long> asked = new ArrayList<>();
        try (BufferedReader lines =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode json = new ObjectMapper().readTree(line);
                if (json.path("event").asText().equals("startWorker")) {
                    assertTrue(json.path("worker").isIntegralNumber());
                    assertEquals("DEBUG", json.path("level").asText());
                    assertEquals("shardId-1", json.path("shard").asText());
                    asked.add(json.path("worker").asLong());
                }
            }
        }
        assertEquals(IntStream.rangeClosed(1, REQUESTS).asLongStream().boxed().toList(), asked);
    }
}
