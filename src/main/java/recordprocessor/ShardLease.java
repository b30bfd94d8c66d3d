package recordprocessor;

import java.time.Duration;

/** Whether a shard is ours to handle: it is until its lease goes to another host, or the daemon drains. */
final class ShardLease {
    private static final long LOOK_MILLIS = 50;

    private final Leases leases;
    private final Checkpoints checkpoints;
    private final Runnable onGivenUp;
    private volatile String leaseKey;
    private volatile boolean draining;
    private volatile long lostSinceNanos;
    private volatile boolean lost;

    /** @param onGivenUp called, perhaps more than once, when it is no longer ours */
    ShardLease(Leases leases, Checkpoints checkpoints, Runnable onGivenUp) {
        this.leases = leases;
        this.checkpoints = checkpoints;
        this.onGivenUp = onGivenUp;
    }

    void use(String key) {
        leaseKey = key;
    }

    String key() {
        return leaseKey;
    }

    boolean isHeld() {
        return !checkpoints.isLeaseLost() && leases.isHeld(leaseKey);
    }

    /** As they are now, or null if the lease is lost, as it then is for good. */
    LeaseTerms terms() {
        LeaseTerms terms = checkpoints.isLeaseLost() ? null : leases.terms(leaseKey);
        if (terms == null) {
            lose();
        }
        return terms;
    }

    /** Another host has the lease, or may have it. */
    synchronized void lose() {
        if (!lost) {
            lostSinceNanos = System.nanoTime();
            lost = true;
            onGivenUp.run();
        }
    }

    void startDraining() {
        draining = true;
        onGivenUp.run();
    }

    /** A lease that is ours again though its work was put down goes back, for KCL to begin it anew. */
    void dropIfBack() {
        leases.drop(leaseKey);
    }

    boolean isDraining() {
        return draining;
    }

    boolean isLost() {
        return lost;
    }

    boolean isLostFor(long millis) {
        return lost
                && System.nanoTime() - lostSinceNanos
                        > Duration.ofMillis(millis).toNanos();
    }

    boolean isGivenUp() {
        return draining || lost;
    }

    /** Ends early when the shard is given up. */
    void pause(long millis) {
        long until = System.nanoTime() + Duration.ofMillis(millis).toNanos();
        while (!isGivenUp() && System.nanoTime() < until) {
            Pause.millis(Math.min(LOOK_MILLIS, millis));
            if (!isHeld()) {
                lose();
            }
        }
    }
}
