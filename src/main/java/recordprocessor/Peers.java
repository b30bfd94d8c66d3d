package recordprocessor;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.ToIntFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The hosts of the application, each of which writes a row every two seconds. One that falls silent loses its leases to
 * the others at once, and what one that leaves has given back is taken at once. KCL alone would notice the first after
 * two to four times {@code failoverTimeMillis}, and the second at its next turn.
 *
 * <p>Clocks of hosts are not compared. Another is silent if its row has not changed for six seconds, in which we wrote
 * ours three times: when DynamoDB is not there for anybody, nobody is silent. And a host whose own row could not be
 * written for so long knows that, and hands out nothing more: {@link #nanosUntilSilent}.
 */
final class Peers {
    private static final Logger log = LoggerFactory.getLogger(Peers.class);
    private static final long BEAT_MILLIS = 2_000;
    private static final long LOOK_MILLIS = 500;
    private static final long SILENT_NANOS = Duration.ofSeconds(6).toNanos();
    private static final int SILENT_BEATS = 3;
    private static final int MOST_DISPUTES = 3;

    private final HostRows rows;
    private final String workerId;
    private final long unknownNanos;
    private final LongSupplier nanoTime;
    private final ToIntFunction<String> evict;
    private final Runnable takeNow;
    private final Consumer<String> onNamesake;
    private final OncePerMinute minute = new OncePerMinute();
    /** Of this process: two that have one worker id differ in it. */
    private final HostRows.Start start = new HostRows.Start(UUID.randomUUID().toString(), System.currentTimeMillis());
    /** Of the thread that looks. */
    private final Map<String, Heard> others = new HashMap<>();

    /** How often in a row another process had written our row. */
    private int disputes;

    private volatile long beatNanos;
    private volatile long lookNanos;
    private volatile int beats;
    private volatile boolean alone;
    private volatile boolean left;

    /**
     * What was last heard of another host.
     *
     * @param ourBeats how often we had written our row by then
     * @param beating whether it was heard more than once
     */
    private record Heard(String beat, long nanos, int ourBeats, boolean beating) {}

    /**
     * @param leaseMillis how long a lease lasts that is not renewed
     * @param nanoTime a clock that goes on evenly, in nanoseconds
     * @param evict takes its leases from the worker, and says how many they were
     * @param takeNow takes what is free
     * @param onNamesake called with the reason if an older process has our worker id
     */
    Peers(
            HostRows rows,
            String workerId,
            long leaseMillis,
            LongSupplier nanoTime,
            ToIntFunction<String> evict,
            Runnable takeNow,
            Consumer<String> onNamesake) {
        this.rows = rows;
        this.workerId = workerId;
        this.unknownNanos =
                Math.max(SILENT_NANOS, Duration.ofMillis(leaseMillis).toNanos());
        this.nanoTime = nanoTime;
        this.evict = evict;
        this.takeNow = takeNow;
        this.onNamesake = onNamesake;
    }

    /** Before the first lease is taken. */
    void start() {
        lookNanos = nanoTime.getAsLong();
        beat(true);
        Background.forEver("beat", () -> {
            beat(false);
            return BEAT_MILLIS;
        });
        Background.forEver("peers", () -> {
            look();
            return LOOK_MILLIS;
        });
    }

    /** Our leases are given back: the others may know at once. */
    synchronized void leave() {
        left = true;
        attempt("removed", () -> rows.removeHost(workerId, start));
    }

    /**
     * How long no other host takes our leases because we are silent, in nanoseconds. One that starts while nobody can be
     * seen waits for as long as a lease lasts.
     */
    long nanosUntilSilent() {
        long silentFrom = alone ? lookNanos + unknownNanos : beatNanos + SILENT_NANOS;
        return silentFrom - nanoTime.getAsLong();
    }

    /** Writes our row. */
    synchronized void beat(boolean first) {
        if (left) {
            return;
        }
        long sent = nanoTime.getAsLong();
        attempt("written", () -> {
            boolean undisputed = rows.putHost(workerId, start, first);
            disputes = undisputed ? 0 : disputes + 1;
            if (undisputed || isOurs()) {
                beatNanos = sent;
                beats++;
            }
        });
    }

    /** Of two processes with one worker id the younger ends; but not for a last word of one that was paused and dies. */
    private boolean isOurs() {
        HostRows.HostRow other = rows.hosts().get(workerId);
        if (other != null && other.start().millis() < start.millis() && disputes >= MOST_DISPUTES) {
            left = true;
            onNamesake.accept("another host runs this application as workerId " + workerId
                    + "; give each host a workerId of its own, or leave it out");
            return false;
        }
        return rows.putHost(workerId, start, true);
    }

    /** Reads the others' rows. */
    void look() {
        attempt("read", () -> {
            long sent = nanoTime.getAsLong();
            Map<String, HostRows.HostRow> found = new HashMap<>(rows.hosts());
            found.remove(workerId);
            alone = found.isEmpty();
            lookNanos = sent;
            boolean someoneLeft = others.keySet().retainAll(found.keySet());
            found.forEach(this::hear);
            if (someoneLeft) {
                takeNow.run();
            }
        });
    }

    private void hear(String other, HostRows.HostRow row) {
        Heard heard = others.get(other);
        if (heard == null || !heard.beat.equals(row.beat())) {
            others.put(other, new Heard(row.beat(), nanoTime.getAsLong(), beats, heard != null));
            return;
        }
        long silentNanos = nanoTime.getAsLong() - heard.nanos;
        if (silentNanos >= (heard.beating ? SILENT_NANOS : unknownNanos) && beats - heard.ourBeats >= SILENT_BEATS) {
            int count = evict.applyAsInt(other);
            log.warn(
                    "host {} has been silent for {} s; leases taken from it: {}",
                    other,
                    Duration.ofNanos(silentNanos).toSeconds(),
                    count);
            rows.removeHost(other, row.start());
            others.remove(other);
            takeNow.run();
        }
    }

    /** All of this is tried again. */
    private void attempt(String what, Runnable call) {
        try {
            call.run();
        } catch (RuntimeException e) {
            if (!Errors.isDenied(e) && minute.isDue(what)) {
                log.warn("the row by which other hosts know this one cannot be {}: {}", what, Errors.oneLine(e));
            }
        }
    }
}
