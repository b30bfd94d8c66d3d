package recordprocessor;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Threads that do not keep the JVM alive. */
final class Background {
    private static final Logger log = LoggerFactory.getLogger(Background.class);
    private static final long AFTER_ERROR_MILLIS = 1_000;
    /** Threads that were needed at once, as at a start with many shards, take memory for as long. */
    private static final long IDLE_SECONDS = 5;

    private static final ExecutorService LATER = threads("later");

    private Background() {}

    static void run(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
    }

    /** As many as are needed at once, so that none waits for another's DynamoDB. */
    static ExecutorService threads(String name) {
        return endingSoon(Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task, name);
            thread.setDaemon(true);
            return thread;
        }));
    }

    /** Lets the threads of a pool that are idle end after some seconds; the JDK's pools and KCL's keep them for a minute. */
    static ExecutorService endingSoon(ExecutorService pool) {
        ((ThreadPoolExecutor) pool).setKeepAliveTime(IDLE_SECONDS, TimeUnit.SECONDS);
        return pool;
    }

    /** Not in Java's common pool, where the adapter's calls block. */
    static void later(long millis, Runnable work) {
        CompletableFuture.delayedExecutor(millis, TimeUnit.MILLISECONDS, LATER).execute(work);
    }

    /** Repeats the work, whatever it throws; it says for how many milliseconds to wait before the next time. */
    static void forEver(String name, LongSupplier work) {
        run(name, () -> {
            while (true) {
                Pause.millis(once(name, work));
            }
        });
    }

    private static long once(String name, LongSupplier work) {
        try {
            return work.getAsLong();
        } catch (RuntimeException e) {
            log.error("{} failed, and goes on: {}", name, Errors.oneLine(e), e);
            return AFTER_ERROR_MILLIS;
        }
    }
}
