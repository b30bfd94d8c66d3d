package recordprocessor;

import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;

/** Looks at one shard every now and then: holds the limit for a batch, and sees a lease that is lost. */
final class ShardWatch {
    private static final Logger log = LoggerFactory.getLogger(ShardWatch.class);
    /** How long a process has to put down the batches of a shard that another host now has. */
    private static final long LEASE_LOST_MILLIS = 5_000;

    private final Settings settings;
    private final ShardLease lease;
    private final Unacknowledged unacknowledged;
    private final Delivery delivery;
    private final ShardStop stop;
    private boolean leaseLostSaid;

    ShardWatch(Settings settings, ShardLease lease, Unacknowledged unacknowledged, Delivery delivery, ShardStop stop) {
        this.settings = settings;
        this.lease = lease;
        this.unacknowledged = unacknowledged;
        this.delivery = delivery;
        this.stop = stop;
    }

    /** Called by one thread. */
    void look() {
        Conversation child = delivery.child();
        boolean lives = child != null && !child.isEnded();
        if (lives) {
            endIfTooSlow(child);
        }
        if (lease.isDraining()) {
            return;
        }
        if ((unacknowledged.isAnythingSent() || stop.isStopped()) && !lease.isHeld()) {
            lease.lose();
        }
        if (lease.isLost()) {
            if (lives) {
                onLeaseLost(child);
            }
        } else {
            stop.remind();
        }
    }

    private void endIfTooSlow(Conversation child) {
        Duration limit = settings.batchTimeout().orElse(null);
        Long sinceNanos = unacknowledged.handledSinceNanos().orElse(null);
        if (limit == null || sinceNanos == null || child.isKilled()) {
            return;
        }
        if (System.nanoTime() - sinceNanos > limit.toNanos()) {
            log.error("no answer for a batch within timeoutInSeconds = {}: the process is killed", limit.toSeconds());
            child.kill();
        }
    }

    private void onLeaseLost(Conversation child) {
        if (!leaseLostSaid) {
            leaseLostSaid = true;
            if (unacknowledged.isAnythingSent()) {
                log.warn("the lease was lost while a batch was being handled; the batch is put down");
            }
            if (!settings.stockProgram()) {
                Background.run(
                        "lease-lost", () -> delivery.lastRequest(LeaseLostMessage.ACTION, new LeaseLostMessage()));
            }
        } else if (lease.isLostFor(LEASE_LOST_MILLIS) && !child.isKilled()) {
            child.kill();
        }
    }
}
