package recordprocessor;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads what the launcher says after the settings; its silence for good ends the daemon. */
final class Lifeline {
    private static final Logger log = LoggerFactory.getLogger(Lifeline.class);
    private static final ObjectMapper JSON = new ObjectMapper();

    private Lifeline() {}

    /** Hears that a worker has ended. */
    interface WorkerEnded {
        void on(long worker, String reason);
    }

    /** Neither listener may block. */
    static void watch(BufferedReader fromLauncher, Runnable onDrain, WorkerEnded onWorkerEnded) {
        Background.run("lifeline", () -> read(fromLauncher, onDrain, onWorkerEnded));
    }

    private static void read(BufferedReader fromLauncher, Runnable onDrain, WorkerEnded onWorkerEnded) {
        try {
            for (String line = fromLauncher.readLine(); line != null; line = fromLauncher.readLine()) {
                hear(line, onDrain, onWorkerEnded);
            }
        } catch (IOException e) {
            // A broken pipe says the same as its end.
        }
        // The launcher is dead. Nobody could drain in an orderly way within its two seconds; what is not
        // checkpointed is delivered again.
        Runtime.getRuntime().halt(ExitCode.FATAL);
    }

    static void hear(String line, Runnable onDrain, WorkerEnded onWorkerEnded) {
        try {
            JsonNode said = JSON.readTree(line);
            switch (said.path("action").asText()) {
                case "drain" -> onDrain.run();
                case "workerEnded" ->
                    onWorkerEnded.on(
                            said.path("worker").asLong(),
                            Text.clean(said.path("reason").asText()));
                default -> log.warn("the launcher said what is not known here: {}", Text.clean(line));
            }
        } catch (JsonProcessingException e) {
            log.warn("the launcher said what is no JSON: {}", Text.clean(line));
        }
    }
}
