package recordprocessor;

import java.io.IOException;
import software.amazon.kinesis.multilang.messages.Message;

/** How messages get to a shard's child process and back. */
interface Transport {
    /** Blocks while the child does not read; one message at a time, whole. */
    void send(Message message) throws IOException;

    /** Nothing more will be said: a child that waits for a message ends by itself. */
    void closeInput();

    /** Ends the child and what it started, now. The {@link Listener} hears of it. */
    void kill();

    /** Whether the child ended within the time. */
    boolean awaitEnd(long millis);

    long pid();

    /** What comes from the child. */
    interface Listener {
        /** One of KCL's child-to-daemon messages; called by one thread, in order. */
        void onMessage(Message message);

        /** Called once, after the last message. */
        void onEnd(String reason);
    }

    /** Starts a child for one shard. */
    interface Factory {
        Transport start(String shardId, Listener listener) throws IOException;
    }
}
