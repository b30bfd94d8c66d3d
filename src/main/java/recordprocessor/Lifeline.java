package recordprocessor;

import java.io.BufferedReader;
import java.io.IOException;

/** Reads what the launcher says after the settings; its silence for good ends the daemon. */
final class Lifeline {
    private Lifeline() {}

    static void watch(BufferedReader fromLauncher, Runnable onDrain) {
        Background.run("lifeline", () -> read(fromLauncher, onDrain));
    }

    private static void read(BufferedReader fromLauncher, Runnable onDrain) {
        try {
            for (String line = fromLauncher.readLine(); line != null; line = fromLauncher.readLine()) {
                if (line.contains("\"drain\"")) {
                    onDrain.run();
                }
            }
        } catch (IOException e) {
            // A broken pipe says the same as its end.
        }
        // The launcher is dead. Nobody could drain in an orderly way within its two seconds; what is not
        // checkpointed is delivered again.
        Runtime.getRuntime().halt(ExitCode.FATAL);
    }
}
