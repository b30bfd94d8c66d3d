package recordprocessor;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * Gives memory back once it is not needed: when what was read has filled the heap, and for a while there was little to
 * read. Collectors by themselves keep a heap as large as it once was.
 */
final class SpareMemory {
    private static final long LOOK_MILLIS = 2_000;
    private static final long QUIET_NANOS = Duration.ofSeconds(10).toNanos();
    private static final long WORTH_BYTES = 16L * 1024 * 1024;
    /** Reading a page leaves something behind even if there is nothing in it. */
    private static final long PAGE_BYTES = 20 * 1024;
    /** So much between two looks is little. */
    private static final long LITTLE_BYTES = 1024 * 1024;

    private final LongSupplier nanoTime;
    private final Runnable collect;
    private final AtomicLong readBytes = new AtomicLong();
    private final AtomicLong pages = new AtomicLong();
    /** Of the thread that looks. The start fills the heap, too. */
    private long worthBytes = WORTH_BYTES;

    private long busyNanos;

    SpareMemory() {
        this(System::nanoTime, System::gc);
    }

    SpareMemory(LongSupplier nanoTime, Runnable collect) {
        this.nanoTime = nanoTime;
        this.collect = collect;
        this.busyNanos = nanoTime.getAsLong();
    }

    void start() {
        Background.forEver("spare-memory", () -> {
            look();
            return LOOK_MILLIS;
        });
    }

    /** A page of so many bytes was read. */
    void read(long bytes) {
        readBytes.addAndGet(bytes);
        pages.incrementAndGet();
    }

    void look() {
        long bytes = readBytes.getAndSet(0);
        worthBytes += bytes + PAGE_BYTES * pages.getAndSet(0);
        if (bytes > LITTLE_BYTES) {
            busyNanos = nanoTime.getAsLong();
        }
        if (worthBytes >= WORTH_BYTES && nanoTime.getAsLong() - busyNanos >= QUIET_NANOS) {
            collect.run();
            worthBytes = 0;
            busyNanos = nanoTime.getAsLong();
        }
    }
}
