package recordprocessor;

import java.util.concurrent.ExecutorService;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.Message;

/**
 * What a worker of ours says by itself: acknowledgements, that it gets on or cannot, and requests for a checkpoint or the
 * lease's terms. The thread that reads what it says does not wait for any of them.
 */
final class WorkerRequests {
    private static final Logger log = LoggerFactory.getLogger(WorkerRequests.class);
    /** Apart from the checkpoints': a deadline must not wait for a table that is throttled. */
    private static final ExecutorService LEASE_THREADS = Background.threads("lease");

    private final Checkpoints checkpoints;
    private final Unacknowledged unacknowledged;
    private final AcknowledgedCheckpoints acknowledgedCheckpoints;
    private final ShardLease lease;
    private final SerialTasks checkpointTasks;
    private final SerialTasks leaseTasks = new SerialTasks(LEASE_THREADS);
    private final Runnable onBatchAcknowledged;
    private final BiConsumer<Conversation, String> onFatal;

    /** @param onFatal hears the reason */
    WorkerRequests(
            Checkpoints checkpoints,
            Unacknowledged unacknowledged,
            AcknowledgedCheckpoints acknowledgedCheckpoints,
            ShardLease lease,
            SerialTasks checkpointTasks,
            Runnable onBatchAcknowledged,
            BiConsumer<Conversation, String> onFatal) {
        this.checkpoints = checkpoints;
        this.unacknowledged = unacknowledged;
        this.acknowledgedCheckpoints = acknowledgedCheckpoints;
        this.lease = lease;
        this.checkpointTasks = checkpointTasks;
        this.onBatchAcknowledged = onBatchAcknowledged;
        this.onFatal = onFatal;
    }

    void onRequest(Conversation worker, Message request) {
        if (request instanceof AcknowledgeMessage acknowledge) {
            acknowledge(worker, acknowledge.getSequenceNumber());
        } else if (request instanceof CheckpointMessage checkpoint) {
            checkpoint(worker, checkpoint.getSequenceNumber());
        } else if (request instanceof LeaseMessage) {
            lease(worker);
        } else if (request instanceof ProgressMessage) {
            unacknowledged.progress();
        } else if (request instanceof FatalMessage fatal) {
            onFatal.accept(worker, fatal.getReason());
        } else {
            log.warn("process {} sent a message that only the daemon may send; ignored", worker.pid());
        }
    }

    /** Returns whether it may: a record that was not sent to it no process can have handled. */
    private boolean acknowledge(Conversation worker, String text) {
        SequenceNumber number = SequenceNumber.of(text);
        Unacknowledged.Outcome outcome = number.equals(SequenceNumber.NONE)
                ? Unacknowledged.Outcome.NOT_SENT
                : unacknowledged.acknowledge(number);
        switch (outcome) {
            case NOT_SENT -> worker.violated("it acknowledged a record that it was not sent");
            case NOTHING_NEW -> {}
            case PART_OF_A_BATCH -> acknowledgedCheckpoints.onAcknowledged(false);
            case A_BATCH_OR_MORE -> {
                onBatchAcknowledged.run();
                acknowledgedCheckpoints.onAcknowledged(true);
            }
        }
        return outcome != Unacknowledged.Outcome.NOT_SENT;
    }

    private void checkpoint(Conversation worker, String text) {
        if (acknowledge(worker, text)) {
            checkpointTasks.run(() -> {
                boolean stored = !SequenceNumber.of(text).isAfter(checkpoints.last());
                Throwable error = stored ? null : checkpoints.checkpoint(text, null);
                worker.answer(new CheckpointMessage(text, null, error));
            });
        }
    }

    private void lease(Conversation worker) {
        leaseTasks.run(() -> {
            LeaseTerms terms = lease.terms();
            if (terms != null) {
                worker.answer(new LeaseMessage(terms));
            }
        });
    }
}
