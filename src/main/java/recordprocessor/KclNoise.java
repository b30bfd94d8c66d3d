package recordprocessor;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.turbo.TurboFilter;
import ch.qos.logback.core.spi.FilterReply;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import org.slf4j.MDC;
import org.slf4j.Marker;

/** Takes the false alarms of the parts underneath out of the log, and their repeated true ones down to one in 10 s. */
final class KclNoise extends TurboFilter {
    private static final long REPEAT_MILLIS = 10_000;
    private static final int MAX_REMEMBERED = 1_000;

    private static final Pattern NUMBERS = Pattern.compile("[0-9a-f]*[0-9][0-9a-f]*");

    private final boolean debug;
    private final Map<String, Long> lastSaid = new ConcurrentHashMap<>();

    KclNoise(boolean debug) {
        this.debug = debug;
    }

    @Override
    public FilterReply decide(
            Marker marker, Logger logger, Level level, String format, Object[] params, Throwable thrown) {
        boolean ours = logger.getName().startsWith("recordprocessor")
                || logger.getName().equals("children");
        if (debug || ours || format == null || !level.isGreaterOrEqual(Level.WARN)) {
            return FilterReply.NEUTRAL;
        }
        if (MDC.get(Logging.QUIET) != null || isFalseAlarm(logger.getName(), format) || isSaid(params, thrown)) {
            return FilterReply.DENY;
        }
        long now = System.currentTimeMillis();
        if (lastSaid.size() > MAX_REMEMBERED) {
            lastSaid.clear();
        }
        String pattern = NUMBERS.matcher(format).replaceAll("#");
        Long said = lastSaid.get(pattern);
        if (said != null && now - said < REPEAT_MILLIS) {
            return FilterReply.DENY;
        }
        lastSaid.put(pattern, now);
        return FilterReply.NEUTRAL;
    }

    /** Whether what went wrong is in our own log, in one line. */
    private static boolean isSaid(Object[] params, Throwable thrown) {
        Throwable found = thrown;
        if (found == null
                && params != null
                && params.length > 0
                && params[params.length - 1] instanceof Throwable last) {
            found = last;
        }
        if (found != null && Errors.isDenied(found)) {
            return true;
        }
        while (found != null && !(found instanceof SaidException)) {
            found = found.getCause();
        }
        return found != null;
    }

    private static boolean isFalseAlarm(String logger, String format) {
        // The adapter gives every shard the same made-up hash key range, so KCL's audit of ranges always fails.
        return format.contains("ncomplete hash range")
                || format.contains("hash range")
                // What the adapter says of settings that it sets itself.
                || logger.endsWith("StreamsSchedulerFactory")
                // KCL's leader, which our way of taking leases does without.
                || format.contains("LeaderDecider");
    }
}
