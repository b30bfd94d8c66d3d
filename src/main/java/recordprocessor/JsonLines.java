package recordprocessor;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.encoder.EncoderBase;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** One log line: {@code {"ts", "level", "logger", "message", "shard"?, "exception"?, "event"?, "worker"?}}. */
final class JsonLines extends EncoderBase<ILoggingEvent> {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final byte[] NOTHING = new byte[0];

    private final boolean debug;

    JsonLines(boolean debug) {
        this.debug = debug;
    }

    @Override
    public byte[] headerBytes() {
        return NOTHING;
    }

    @Override
    public byte[] footerBytes() {
        return NOTHING;
    }

    @Override
    public byte[] encode(ILoggingEvent event) {
        Map<String, String> mdc = event.getMDCPropertyMap();
        boolean ours = event.getLoggerName().startsWith("recordprocessor");
        ObjectNode line = JSON.createObjectNode();
        line.put("ts", event.getTimeStamp());
        line.put("level", level(event.getLevel()));
        line.put("logger", mdc.getOrDefault(Logging.LOGGER, event.getLoggerName()));
        line.put("message", message(event, ours));
        putIfSet(line, "shard", mdc.get(Logging.SHARD));
        putIfSet(line, "exception", mdc.get(Logging.EXCEPTION));
        if (event.getMarkerList() != null) {
            event.getMarkerList().forEach(marker -> line.put("event", marker.getName()));
        }
        if (mdc.containsKey(Logging.WORKER)) {
            line.put("worker", Long.parseLong(mdc.get(Logging.WORKER)));
        }
        boolean wanted = debug || (ours && event.getLevel() == Level.ERROR);
        if (wanted && event.getThrowableProxy() != null) {
            line.put("exception", ThrowableProxyUtil.asString(event.getThrowableProxy()));
        }
        try {
            return (JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            return NOTHING;
        }
    }

    /** The parts underneath often say only in a stack trace what went wrong; that trace is one line here. */
    private static String message(ILoggingEvent event, boolean ours) {
        IThrowableProxy cause = event.getThrowableProxy();
        if (ours || cause == null) {
            return event.getFormattedMessage();
        }
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        String name = cause.getClassName().substring(cause.getClassName().lastIndexOf('.') + 1);
        return event.getFormattedMessage() + " (" + name + ": " + cause.getMessage() + ")";
    }

    private static String level(Level level) {
        return level == Level.WARN ? "WARNING" : level.toString();
    }

    private static void putIfSet(ObjectNode line, String name, String value) {
        if (value != null) {
            line.put(name, value);
        }
    }
}
