package recordprocessor;

import java.io.IOException;
import java.util.List;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.multilang.messages.Message;

/** How messages get to a shard's process and back. */
interface Transport {
    /** From now on the listener hears what the process says; called once. */
    void listen(Listener listener);

    /** Blocks while the process does not read; one message at a time, whole. */
    void send(Message message) throws IOException;

    /** A processRecords message, with records as the factory encoded them. */
    void sendRecords(RecordsHeader header, List<Slice> records) throws IOException;

    /** Nothing more will be said: a process that waits for a message ends by itself. */
    void closeInput();

    /** Ends the process and what it started, now. The {@link Listener} hears of it. */
    void kill();

    /** Whether the process ended within the time. */
    boolean awaitEnd(long millis);

    long pid();

    /** What comes from the process. */
    interface Listener {
        /** Called by one thread, in order. */
        void onMessage(Message message);

        /** Called once, after the last message. */
        void onEnd(String reason);
    }

    /** Starts processes, and makes the bytes that they are sent. */
    interface Factory {
        /** Blocks until the process is there, or has failed to be. */
        Transport start(String shardId) throws IOException;

        /** A record as it will go to every process that is sent it. */
        byte[] encode(Record event);

        /** Whether that is {@link MessagePackRecord}'s bytes. */
        default boolean takesMessagePack() {
            return false;
        }

        /** The launcher's word on a process that it started. */
        default void onWorkerEnded(long worker, String reason) {}
    }
}
