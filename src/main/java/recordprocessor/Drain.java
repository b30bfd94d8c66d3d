package recordprocessor;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The end of the daemon: handlers finish, last checkpoints are made, leases are given back.
 *
 * <p>KCL's own graceful shutdown would wait for a batch that is blocked in retries, takes seconds to notice that a
 * shard is done, and leaves our name in the lease rows.
 */
final class Drain {
    private static final Logger log = LoggerFactory.getLogger(Drain.class);
    /** Kept back of the grace period for giving back the leases. */
    private static final long RESERVE_MILLIS = 1_500;
    /** KCL starts its lease taker within this, or is kept from it by an AWS that does not answer. */
    private static final long KCL_START_MILLIS = 3_000;

    private final long graceMillis;
    private final ExecutorService threads = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task, "drain");
        thread.setDaemon(true);
        return thread;
    });
    private final CountDownLatch asked = new CountDownLatch(1);
    private final CountDownLatch kclStarted = new CountDownLatch(1);
    private volatile long askedNanos;
    private volatile boolean running;
    private volatile StartException failure;
    private volatile boolean leasesAreAnothers;

    Drain(long graceMillis) {
        this.graceMillis = graceMillis;
    }

    /** From now on there are leases to give back. */
    void begin() {
        running = true;
    }

    /** By the launcher, because of a signal. */
    void request() {
        if (!running) {
            // Whatever the start waits for, nobody has to wait for it: nothing is read yet.
            Runtime.getRuntime().halt(ExitCode.DRAINED);
        }
        if (asked.getCount() > 0) {
            askedNanos = System.nanoTime();
            asked.countDown();
        }
    }

    /** There is nothing left that this host could handle. */
    void everyShardStopped() {
        if (asked.getCount() > 0) {
            log.info("fatal errors have stopped every shard that this host has: draining");
        }
        request();
    }

    void kclStarted() {
        kclStarted.countDown();
    }

    void cannotStart(String reason) {
        failure = StartException.couldNotStart(reason, null);
        request();
    }

    /** Another process has our worker id, and so our leases: they are its own to keep. */
    void namesake(String reason) {
        leasesAreAnothers = true;
        failure = StartException.configuration(reason);
        request();
    }

    /** Only an error ends the scheduler before it is asked to. */
    void schedulerEnded() {
        kclStarted.countDown();
        if (asked.getCount() > 0) {
            failure = new StartException(ExitCode.CRASHED, "KCL's scheduler ended by itself", null);
        }
        request();
    }

    /** Waits for the end, and makes it an orderly one. Returns the exit code. */
    int await(ShardProcessors processors, Leases leases, Peers peers) {
        awaitRequest();
        log.debug("draining, for up to {} ms", graceMillis);
        leases.stopTaking();
        processors.startDraining();
        List<ShardProcessor> shards = processors.live();
        drain(shards);
        StartException stopped = StoppedShards.failure(
                shards.stream().flatMap(each -> each.stopped().stream()).toList());
        int exitCode = leasesAreAnothers ? ExitCode.DRAINED : giveBack(leases, peers);
        if (failure != null) {
            throw failure;
        }
        if (stopped != null) {
            throw stopped;
        }
        return exitCode;
    }

    private void awaitRequest() {
        try {
            asked.await();
            // A lease taker that starts later would take leases after they have been given back.
            kclStarted.await(Math.min(KCL_START_MILLIS, leftMillis()), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private int giveBack(Leases leases, Peers peers) {
        CompletableFuture<Void> done = CompletableFuture.runAsync(
                () -> {
                    log.info("drained; leases given back: {}", leases.evictAll());
                    peers.leave();
                },
                threads);
        long spentMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - askedNanos);
        if (within(done, graceMillis - spentMillis)) {
            return ExitCode.DRAINED;
        }
        log.error(
                "the leases could not be given back within shutdownGraceMillis = {}; other hosts take them when they"
                        + " have expired",
                graceMillis);
        return ExitCode.FATAL;
    }

    private void drain(List<ShardProcessor> shards) {
        CompletableFuture<?> all = CompletableFuture.allOf(shards.stream()
                .map(shard -> CompletableFuture.runAsync(shard::drain, threads))
                .toArray(CompletableFuture[]::new));
        if (!within(all, leftMillis())) {
            shards.forEach(ShardProcessor::kill);
            within(all, RESERVE_MILLIS / 2);
        }
    }

    private static boolean within(CompletableFuture<?> all, long millis) {
        try {
            all.get(Math.max(1, millis), TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException e) {
            return false;
        } catch (java.util.concurrent.ExecutionException e) {
            log.warn("a shard could not be drained: {}", Errors.oneLine(e), e);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private long leftMillis() {
        long spentMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - askedNanos);
        return graceMillis - Math.min(RESERVE_MILLIS, graceMillis / 2) - spentMillis;
    }
}
