package recordprocessor;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** One shard's tasks that may block: one after the other, in threads that are not the shard's own. */
final class SerialTasks {
    private static final Logger log = LoggerFactory.getLogger(SerialTasks.class);

    private final Executor threads;
    private CompletableFuture<Void> last = CompletableFuture.completedFuture(null);

    SerialTasks(Executor threads) {
        this.threads = threads;
    }

    synchronized void run(Runnable task) {
        last = afterLast(task);
    }

    /** Returns when the task, and all before it, have run. */
    void runAndWait(Runnable task) {
        CompletableFuture<Void> done;
        synchronized (this) {
            last = afterLast(task);
            done = last;
        }
        done.join();
    }

    private CompletableFuture<Void> afterLast(Runnable task) {
        String shard = MDC.get(Logging.SHARD);
        return last.handleAsync(
                (done, failure) -> {
                    runLogged(shard, task);
                    return null;
                },
                threads);
    }

    private static void runLogged(String shard, Runnable task) {
        try (MDC.MDCCloseable ignored = MDC.putCloseable(Logging.SHARD, shard)) {
            task.run();
        } catch (Throwable e) {
            // Those behind it are run.
            log.error("a task failed: {}", Errors.oneLine(e), e);
        }
    }
}
