package recordprocessor;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.InitializeMessage;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.ProcessRecordsMessage;
import software.amazon.kinesis.multilang.messages.ShardEndedMessage;
import software.amazon.kinesis.multilang.messages.ShutdownRequestedMessage;
import software.amazon.kinesis.multilang.messages.StatusMessage;

/**
 * What the daemon and one process say to each other, over any {@link Transport}: docs/protocol.md.
 *
 * <p>A request is answered with a status. What the process asks for itself goes to a {@link Listener}. KCL's own
 * conversation (MultiLangProtocol) ends the whole JVM when a child fails; here a failure ends one process.
 */
final class Conversation implements Transport.Listener {
    private static final Logger log = LoggerFactory.getLogger(Conversation.class);
    private static final Set<String> LAST_WORDS =
            Set.of(LeaseLostMessage.ACTION, ShardEndedMessage.ACTION, ShutdownRequestedMessage.ACTION);
    /** How long a process that does not read any more has to end by itself, so that its end says why. */
    private static final long END_MILLIS = 1_000;

    private final Transport transport;
    private final Listener listener;
    private final Map<String, CompletableFuture<Void>> pending = new HashMap<>();
    private final CompletableFuture<String> end = new CompletableFuture<>();
    /** What it did that no process may; nothing that it says counts any more. */
    private volatile String violation;

    private volatile boolean killed;
    private boolean closing;
    /** Held while the first message is said, which nothing may come before. */
    private final Object greeting = new Object();

    private boolean greeted;

    /** Whoever has the process. */
    interface Listener {
        /** Anything but a status; called by one thread, in order. */
        void onRequest(Conversation from, Message request);

        void onEnd();
    }

    private Conversation(Transport transport, Listener listener) {
        this.transport = transport;
        this.listener = listener;
    }

    static Conversation start(String shardId, Transport.Factory factory, Listener listener) throws ChildFailure {
        Conversation conversation;
        try {
            conversation = new Conversation(factory.start(shardId), listener);
        } catch (IOException e) {
            throw new ChildFailure("it cannot be started: " + e.getMessage());
        }
        conversation.transport.listen(conversation);
        return conversation;
    }

    /** Says the first message and waits for the status. */
    void initialize(Message message) throws ChildFailure {
        ask(InitializeMessage.ACTION, () -> {
            synchronized (greeting) {
                transport.send(message);
                greeted = true;
            }
        });
    }

    /** Says another message and waits for the status. */
    void ask(String action, Message message) throws ChildFailure {
        ask(action, () -> transport.send(message));
    }

    /** For a program, which answers for a batch as for any other request. */
    void askRecords(RecordsHeader header, Batch batch) throws ChildFailure {
        ask(ProcessRecordsMessage.ACTION, () -> transport.sendRecords(header, batch.encoded()));
    }

    /** For a worker of ours, which acknowledges records when it likes. */
    void sendRecords(RecordsHeader header, Batch batch) throws ChildFailure {
        checkUsable();
        send(() -> transport.sendRecords(header, batch.encoded()));
    }

    /** An answer; if the process is gone there is nobody to hear it. */
    void answer(Message message) {
        try {
            transport.send(message);
        } catch (IOException e) {
            log.debug("process {} ended before it was answered", pid());
        }
    }

    private interface Saying {
        void say() throws IOException;
    }

    private void ask(String action, Saying request) throws ChildFailure {
        CompletableFuture<Void> answer = register(action);
        send(request);
        try {
            answer.get();
        } catch (ExecutionException e) {
            throw new ChildFailure(e.getCause().getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ChildFailure("interrupted");
        }
    }

    private void send(Saying message) throws ChildFailure {
        try {
            message.say();
        } catch (IOException e) {
            if (!transport.awaitEnd(END_MILLIS)) {
                kill();
            }
            throw new ChildFailure(end.join());
        }
    }

    private synchronized CompletableFuture<Void> register(String action) throws ChildFailure {
        checkUsable();
        closing = LAST_WORDS.contains(action);
        CompletableFuture<Void> answer = new CompletableFuture<>();
        pending.put(action, answer);
        return answer;
    }

    private synchronized void checkUsable() throws ChildFailure {
        if (end.isDone()) {
            throw new ChildFailure(end.join());
        }
        if (closing) {
            throw new ChildFailure("it was told to end");
        }
    }

    /** Whether it can be told something: not before its first message, nor after its last. */
    boolean isUsable() {
        synchronized (greeting) {
            if (!greeted) {
                return false;
            }
        }
        synchronized (this) {
            return !end.isDone() && !closing;
        }
    }

    /** Whether a status is waited for. */
    synchronized boolean isAsked() {
        return !pending.isEmpty();
    }

    boolean isEnded() {
        return end.isDone();
    }

    /** Why it ended; waits until it has. */
    String endedBecause() {
        return end.join();
    }

    boolean isKilled() {
        return killed;
    }

    long pid() {
        return transport.pid();
    }

    void kill() {
        killed = true;
        transport.kill();
    }

    /** It did what no process may: nothing that it says counts any more, and it is ended. */
    void violated(String what) {
        violation = what;
        kill();
    }

    /** Lets it end by itself, and kills it if it does not. */
    void end(long millis) {
        transport.closeInput();
        if (!transport.awaitEnd(millis)) {
            log.warn("process {} did not end by itself within {} ms: killed", pid(), millis);
            kill();
        }
    }

    @Override
    public void onMessage(Message message) {
        if (violation != null || end.isDone()) {
            return;
        }
        if (message instanceof StatusMessage status) {
            onStatus(status.getResponseFor());
        } else {
            listener.onRequest(this, message);
        }
    }

    private synchronized void onStatus(String action) {
        CompletableFuture<Void> answer = pending.remove(action);
        if (answer == null) {
            log.warn("process {} answered a request that was not made, {}; ignored", pid(), Text.clean(action));
            return;
        }
        answer.complete(null);
    }

    @Override
    public void onEnd(String reason) {
        String why = violation == null ? reason : violation;
        synchronized (this) {
            end.complete(why);
            pending.values().forEach(answer -> answer.completeExceptionally(new ChildFailure(why)));
            pending.clear();
        }
        listener.onEnd();
    }
}
