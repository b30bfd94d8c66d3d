package recordprocessor;

import ch.qos.logback.classic.AsyncAppender;
import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.OutputStreamAppender;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.util.logging.Handler;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import org.slf4j.Marker;
import org.slf4j.MarkerFactory;

/** Log lines as JSON on standard output, for the launcher, which shows them. */
final class Logging {
    /** MDC keys. */
    static final String SHARD = "shard";

    static final String LOGGER = "logger";
    static final String EXCEPTION = "exception";
    static final String WORKER = "worker";

    /** Set while the parts underneath shall not log what we say ourselves. */
    static final String QUIET = "quiet";

    /** Children filter their own levels. */
    static final org.slf4j.Logger CHILDREN = LoggerFactory.getLogger("children");

    /** What the launcher has to do: never dropped, unlike a log line, and shown as one at DEBUG. */
    private static final org.slf4j.Logger REQUESTS = LoggerFactory.getLogger("recordprocessor.requests");

    private static final Marker START_WORKER = MarkerFactory.getMarker("startWorker");

    /** Why the daemon ends: the launcher makes it the command's last words. */
    static final Marker ENDED = MarkerFactory.getMarker("ended");

    private static final int QUEUE_LINES = 4_096;
    private static final int FLUSH_MILLIS = 500;

    private Logging() {}

    static void configure(String level) {
        // A library that prints must not get between the lines.
        System.setOut(System.err);
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        boolean debug = level.equals("DEBUG");

        JsonLines encoder = new JsonLines(debug);
        encoder.setContext(context);
        encoder.start();
        OutputStreamAppender<ILoggingEvent> out = new OutputStreamAppender<>();
        out.setContext(context);
        out.setEncoder(encoder);
        out.setOutputStream(new FileOutputStream(FileDescriptor.out));
        out.start();
        AsyncAppender async = new AsyncAppender();
        async.setContext(context);
        // A log that nobody reads must not stop the records: lines are dropped then.
        async.setNeverBlock(true);
        async.setQueueSize(QUEUE_LINES);
        async.setDiscardingThreshold(0);
        async.setMaxFlushTime(FLUSH_MILLIS);
        async.addAppender(out);
        async.start();

        Logger root = context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
        root.addAppender(async);
        root.setLevel(debug ? Level.INFO : Level.WARN);
        context.getLogger("recordprocessor").setLevel(Level.toLevel(level, Level.INFO));
        context.getLogger("children").setLevel(Level.DEBUG);
        // Past the queue, to the same stream: its lock keeps the lines apart.
        Logger requests = context.getLogger(REQUESTS.getName());
        requests.setLevel(Level.DEBUG);
        requests.setAdditive(false);
        requests.addAppender(out);
        KclNoise noise = new KclNoise(debug);
        noise.setContext(context);
        noise.start();
        context.addTurboFilter(noise);
        forwardJavaUtilLogging();
    }

    /** Asks the launcher for a worker for the shard that this thread logs for; the line is written on return. */
    static void startWorker(long number) {
        try (MDC.MDCCloseable ignored = MDC.putCloseable(WORKER, Long.toString(number))) {
            REQUESTS.debug(START_WORKER, "worker {} is asked for", number);
        }
    }

    /** The adapter's shard syncer logs through commons-logging, so java.util.logging. */
    private static void forwardJavaUtilLogging() {
        LogManager.getLogManager().reset();
        java.util.logging.Logger.getLogger("").addHandler(new Handler() {
            @Override
            public void publish(LogRecord line) {
                org.slf4j.Logger logger = LoggerFactory.getLogger(String.valueOf(line.getLoggerName()));
                if (line.getLevel().intValue() >= java.util.logging.Level.WARNING.intValue()) {
                    logger.warn(line.getMessage(), line.getThrown());
                } else {
                    logger.info(line.getMessage(), line.getThrown());
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        });
    }
}
