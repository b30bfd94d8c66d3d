package recordprocessor;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.Message;

/**
 * What a stock program asks for: checkpoints, and nothing else.
 *
 * <p>They are made in the thread that reads what it says: a status that comes behind must not be seen before, because
 * KCL then hands out more.
 */
final class ProgramRequests {
    private static final Logger log = LoggerFactory.getLogger(ProgramRequests.class);

    private final Checkpoints checkpoints;
    private final Unacknowledged unacknowledged;
    private volatile boolean atShardEnd;

    ProgramRequests(Checkpoints checkpoints, Unacknowledged unacknowledged) {
        this.checkpoints = checkpoints;
        this.unacknowledged = unacknowledged;
    }

    /** From now on "all that I was given" is the end of the shard. */
    void startShardEnd() {
        atShardEnd = true;
    }

    void onRequest(Conversation program, Message request) {
        if (!(request instanceof CheckpointMessage checkpoint)) {
            log.warn("process {} sent a message that only the daemon may send; ignored", program.pid());
            return;
        }
        String asked = checkpoint.getSequenceNumber();
        Long subSequenceNumber = checkpoint.getSubSequenceNumber();
        program.answer(new CheckpointMessage(asked, subSequenceNumber, checkpoint(asked, subSequenceNumber)));
    }

    private Throwable checkpoint(String asked, Long subSequenceNumber) {
        if (asked == null && !atShardEnd) {
            // Not KCL's own idea of it: KCL may have handed out what was never given to this program.
            SequenceNumber given = unacknowledged.lastSent();
            return given.equals(SequenceNumber.NONE) ? null : checkpoints.checkpoint(given.toString(), null);
        }
        if (asked != null && SequenceNumber.of(asked).isAfter(unacknowledged.lastSent())) {
            log.warn("checkpoint at {} refused: the process was not given that record", Text.clean(asked));
            return new IllegalArgumentException("not given");
        }
        if (asked != null && checkpoints.last().isAfter(SequenceNumber.of(asked))) {
            // What the filter kept from the program may have been stored past it, and KCL never goes back.
            return null;
        }
        return checkpoints.checkpoint(asked, subSequenceNumber);
    }
}
