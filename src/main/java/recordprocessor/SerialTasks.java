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

    /** The result is done when the task is, whether or not it failed. */
    synchronized CompletableFuture<Void> run(Runnable task) {
        String shard = MDC.get(Logging.SHARD);
        last = last.handleAsync(
                (done, failure) -> {
                    runLogged(shard, task);
                    return null;
                },
                threads);
        return last;
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
