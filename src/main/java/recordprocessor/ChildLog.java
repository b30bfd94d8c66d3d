package recordprocessor;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.slf4j.MDC;

/** A child's log lines: our workers' own come as JSON behind a record separator, all others are plain text. */
final class ChildLog {
    private static final char RECORD_SEPARATOR = '\u001e';
    private static final ObjectMapper JSON = new ObjectMapper();

    private ChildLog() {}

    static void line(LineReader.Line line) {
        int begin = line.text().indexOf(RECORD_SEPARATOR);
        if (!line.whole() || begin < 0) {
            output(line.text());
            return;
        }
        // Half a line may have been printed before.
        output(line.text().substring(0, begin));
        try {
            logged(JSON.readTree(line.text().substring(begin + 1)));
        } catch (JsonProcessingException e) {
            output(line.text().substring(begin + 1));
        }
    }

    /** What a handler, a library or a subprocess printed. */
    static void output(String text) {
        if (!text.isBlank()) {
            write("output", "INFO", text, null);
        }
    }

    private static void logged(JsonNode line) {
        write(
                line.path("logger").asText("worker"),
                line.path("level").asText("INFO"),
                line.path("message").asText(),
                line.path("exception").isTextual() ? line.path("exception").asText() : null);
    }

    private static void write(String logger, String level, String message, String exception) {
        MDC.put(Logging.LOGGER, logger);
        if (exception != null) {
            MDC.put(Logging.EXCEPTION, exception);
        }
        switch (level) {
            case "DEBUG" -> Logging.CHILDREN.debug(message);
            case "WARNING" -> Logging.CHILDREN.warn(message);
            case "ERROR", "CRITICAL" -> Logging.CHILDREN.error(message);
            default -> Logging.CHILDREN.info(message);
        }
        MDC.remove(Logging.LOGGER);
        MDC.remove(Logging.EXCEPTION);
    }
}
