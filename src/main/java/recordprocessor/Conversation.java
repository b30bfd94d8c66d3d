package recordprocessor;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.CheckpointMessage;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;

/**
 * What the daemon and one child process say to each other, over any {@link Transport}: docs/protocol.md.
 *
 * <p>Each request is answered with a status. A child may ask for a checkpoint whenever it likes. KCL's own conversation
 * (MultiLangProtocol) ends the whole JVM when a child fails; here a failure ends one child.
 */
final class Conversation implements Transport.Listener {
    private static final Logger log = LoggerFactory.getLogger(Conversation.class);
    private static final Set<String> LAST_WORDS =
            Set.of(LeaseLostMessage.ACTION, ShardEndedMessage.ACTION, ShutdownRequestedMessage.ACTION);

    private final Checkpoints checkpoints;
    private final Map<String, CompletableFuture<Answer>> pending = new HashMap<>();
    private Transport transport;
    private String ended;
    private boolean closing;

    /** How a request ended. */
    enum Answer {
        DONE,
        /** A batch was given up by the child, because the shard is being taken from it; nothing of it is acknowledged. */
        ABANDONED
    }

    private Conversation(Checkpoints checkpoints) {
        this.checkpoints = checkpoints;
    }

    static Conversation start(String shardId, Transport.Factory factory, Checkpoints checkpoints) throws ChildFailure {
        Conversation conversation = new Conversation(checkpoints);
        try {
            conversation.transport = factory.start(shardId, conversation);
        } catch (IOException e) {
            throw new ChildFailure("it cannot be started: " + e.getMessage());
        }
        return conversation;
    }

    /** Says the message and waits for the child's status. */
    Answer ask(String action, Message message) throws ChildFailure {
        CompletableFuture<Answer> answer = register(action);
        try {
            transport.send(message);
        } catch (IOException e) {
            // It does not read any more; its end, which then answers for it, says why.
            transport.kill();
        }
        try {
            return answer.get();
        } catch (ExecutionException e) {
            throw new ChildFailure(e.getCause().getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ChildFailure("interrupted");
        }
    }

    /** Whether the child has a batch that it has not answered for. */
    synchronized boolean isBusy() {
        return pending.containsKey(ProcessRecordsMessage.ACTION);
    }

    synchronized boolean isUsable() {
        return ended == null && !closing;
    }

    /** Why the child is gone, or null while it is there. */
    synchronized String endedBecause() {
        return ended;
    }

    long pid() {
        return transport.pid();
    }

    void kill() {
        transport.kill();
    }

    /** Lets the child end by itself, and kills it if it does not. */
    void end(long millis) {
        transport.closeInput();
        if (!transport.awaitEnd(millis)) {
            log.warn("process {} did not end by itself within {} ms: killed", transport.pid(), millis);
            transport.kill();
        }
    }

    @Override
    public void onMessage(Message message) {
        if (message instanceof StatusMessage status) {
            onStatus(status.getResponseFor());
        } else if (message instanceof CheckpointMessage checkpoint) {
            onCheckpoint(checkpoint);
        } else {
            log.warn("process {} sent a message that only the daemon may send; ignored", transport.pid());
        }
    }

    private synchronized void onStatus(String action) {
        CompletableFuture<Answer> answer = pending.remove(action);
        if (answer == null) {
            log.warn(
                    "process {} answered a request that was not made, {}; ignored",
                    transport.pid(),
                    Text.clean(action));
            return;
        }
        answer.complete(Answer.DONE);
        if (LAST_WORDS.contains(action)) {
            CompletableFuture<Answer> batch = pending.remove(ProcessRecordsMessage.ACTION);
            if (batch != null) {
                batch.complete(Answer.ABANDONED);
            }
        }
    }

    private void onCheckpoint(CheckpointMessage request) {
        Throwable error = checkpoints.checkpoint(request.getSequenceNumber(), request.getSubSequenceNumber());
        try {
            transport.send(new CheckpointMessage(request.getSequenceNumber(), request.getSubSequenceNumber(), error));
        } catch (IOException e) {
            log.debug("process {} ended while it checkpointed", transport.pid());
        }
    }

    @Override
    public synchronized void onEnd(String reason) {
        ended = reason;
        pending.values().forEach(answer -> answer.completeExceptionally(new ChildFailure(reason)));
        pending.clear();
    }

    private synchronized CompletableFuture<Answer> register(String action) throws ChildFailure {
        if (ended != null) {
            throw new ChildFailure(ended);
        }
        if (closing) {
            throw new ChildFailure("it was told to end");
        }
        closing = LAST_WORDS.contains(action);
        CompletableFuture<Answer> answer = new CompletableFuture<>();
        pending.put(action, answer);
        return answer;
    }
}
