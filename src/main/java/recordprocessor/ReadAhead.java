package recordprocessor;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * What this host has read of all shards, and KCL has not handed on yet, in bytes; and how many large pages are read at
 * once: while it is being read, a page takes several times its size.
 *
 * <p>A shard of which nothing waits is always read: others that are stuck do not stop it. And none waits for ever,
 * because KCL does not say when it throws a page away.
 */
final class ReadAhead {
    /** In KCL's queue, on its way there, and in the hands of the shard's processor. */
    static final int PAGES = 3;

    private static final long MAXIMUM_BYTES = 64L * 1024 * 1024;
    private static final int LARGE_PAGES = 8;
    private static final long PATIENCE_MILLIS = 1_000;

    private final long maximumBytes;
    private final Map<ShardName, Deque<Long>> waiting = new HashMap<>();
    private final Semaphore largePages = new Semaphore(LARGE_PAGES);
    private long total;

    ReadAhead() {
        this(MAXIMUM_BYTES);
    }

    ReadAhead(long maximumBytes) {
        this.maximumBytes = maximumBytes;
    }

    synchronized boolean hasRoom(ShardName shard) {
        return total < maximumBytes || !waiting.containsKey(shard);
    }

    /** Reads a page of a shard that has more, when there is room; or after a second, for what waits may hang. */
    <T> T largePage(ShardName shard, Supplier<T> read) {
        boolean acquired = false;
        try {
            awaitRoom(shard);
            acquired = largePages.tryAcquire(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        try {
            return read.get();
        } finally {
            if (acquired) {
                largePages.release();
            }
        }
    }

    private synchronized void awaitRoom(ShardName shard) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
        long leftMillis = PATIENCE_MILLIS;
        while (!hasRoom(shard) && leftMillis > 0) {
            wait(leftMillis);
            leftMillis = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
        }
    }

    /** A page that is not empty was read. */
    synchronized void read(ShardName shard, long bytes) {
        Deque<Long> pages = waiting.computeIfAbsent(shard, name -> new ArrayDeque<>());
        if (pages.size() == PAGES) {
            total -= pages.remove();
        }
        pages.add(bytes);
        total += bytes;
    }

    /** KCL has handed the oldest page on. */
    synchronized void handedOn(ShardName shard) {
        Deque<Long> pages = waiting.get(shard);
        if (pages != null) {
            total -= pages.remove();
            if (pages.isEmpty()) {
                waiting.remove(shard);
            }
            notifyAll();
        }
    }

    /** KCL has thrown away what waited of it: it reads the shard anew, or no more. */
    synchronized void forget(ShardName shard) {
        Deque<Long> pages = waiting.remove(shard);
        if (pages != null) {
            total -= pages.stream().mapToLong(Long::longValue).sum();
            notifyAll();
        }
    }
}
