package recordprocessor;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** How many bytes all shards together keep, and may keep. */
final class Budget {
    private final long maximumBytes;
    private final AtomicLong keptBytes = new AtomicLong();
    private final Set<Unacknowledged> waiting = ConcurrentHashMap.newKeySet();

    Budget(long maximumBytes) {
        this.maximumBytes = maximumBytes;
    }

    /** Takes them if they are within the limit. */
    boolean tryTake(long bytes) {
        while (true) {
            long kept = keptBytes.get();
            if (kept + bytes > maximumBytes) {
                return false;
            }
            if (keptBytes.compareAndSet(kept, kept + bytes)) {
                return true;
            }
        }
    }

    /** Takes them whatever the limit is: a shard that keeps nothing must get on. */
    void take(long bytes) {
        keptBytes.addAndGet(bytes);
    }

    /** Not to be called with a shard's lock held: it takes those of the shards that wait. */
    void free(long bytes) {
        if (bytes > 0) {
            keptBytes.addAndGet(-bytes);
            waiting.forEach(Unacknowledged::wake);
        }
    }

    long keptBytes() {
        return keptBytes.get();
    }

    /** From now on the shard is woken when bytes are freed. */
    void waits(Unacknowledged shard) {
        waiting.add(shard);
    }

    void waitsNoMore(Unacknowledged shard) {
        waiting.remove(shard);
    }
}
