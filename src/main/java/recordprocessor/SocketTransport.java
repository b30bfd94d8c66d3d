package recordprocessor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.kinesis.multilang.messages.Message;

/**
 * A worker's connection: frames of MessagePack over a Unix socket. The worker is no child of ours: that it ended the
 * launcher says, whose child or grandchild it is.
 */
final class SocketTransport implements Transport {
    private static final ExecutorService ENDS = Background.threads("worker-end");
    private static final Logger log = LoggerFactory.getLogger(SocketTransport.class);
    /** How long the launcher has to report an end that shows otherwise. */
    private static final long REPORT_MILLIS = 1_000;
    /** How long what was said last may take to be read; a grandchild may hold the connection open for ever. */
    private static final long LAST_WORDS_MILLIS = 1_000;

    /** Java keeps a buffer as large as the largest write for each thread. */
    private static final int WRITE_BYTES = 64 * 1024;

    private static final String KILLED = "killed by the daemon";
    private static final String CLOSED = "it closed its connection";

    private final String shardId;
    private final SocketChannel channel;
    private final FrameReader frames;
    private final ProcessHandle process;
    /** Why it ended. */
    private final CompletableFuture<String> ended;

    private final Object sending = new Object();
    private final Thread reader;
    private volatile Listener listener;
    /** What was wrong with its last frame. */
    private volatile String malformed;

    private volatile boolean killed;

    /**
     * @param frames has read the worker's hello
     * @param ended completed when the launcher reports that the worker has ended
     */
    SocketTransport(
            String shardId,
            SocketChannel channel,
            FrameReader frames,
            ProcessHandle process,
            CompletableFuture<String> ended) {
        this.shardId = shardId;
        this.channel = channel;
        this.frames = frames;
        this.process = process;
        this.ended = ended;
        this.reader = new Thread(this::read, "worker-frames-" + shardId);
        reader.setDaemon(true);
    }

    @Override
    @SuppressWarnings("FutureReturnValueIgnored") // the listener hears of it
    public void listen(Listener toTell) {
        listener = toTell;
        reader.start();
        ended.thenAcceptAsync(this::report, ENDS);
    }

    @Override
    public void send(Message message) throws IOException {
        write(MessagePackWire.frame(message), List.of());
    }

    @Override
    public void sendRecords(RecordsHeader header, List<Slice> records) throws IOException {
        write(MessagePackWire.head(header, records), records);
    }

    private void write(byte[] head, List<Slice> rest) throws IOException {
        long length = head.length + rest.stream().mapToLong(Slice::length).sum();
        ByteBuffer part = ByteBuffer.allocate((int) Math.min(length, WRITE_BYTES));
        synchronized (sending) {
            write(part, Slice.of(head));
            for (Slice each : rest) {
                write(part, each);
            }
            flush(part);
        }
    }

    /** Fills the part, and writes it whenever it is full. */
    private void write(ByteBuffer part, Slice slice) throws IOException {
        int from = slice.offset();
        int to = slice.offset() + slice.length();
        while (from < to) {
            if (!part.hasRemaining()) {
                flush(part);
            }
            int count = Math.min(to - from, part.remaining());
            part.put(slice.array(), from, count);
            from += count;
        }
    }

    private void flush(ByteBuffer part) throws IOException {
        part.flip();
        while (part.hasRemaining()) {
            channel.write(part);
        }
        part.clear();
    }

    @Override
    public void closeInput() {
        try {
            channel.shutdownOutput();
        } catch (IOException e) {
            log.debug("process {}: {}", pid(), e.getMessage());
        }
    }

    @Override
    public void kill() {
        if (!ended.isDone()) {
            killed = true;
            ProcessTree.kill(process);
            Background.later(REPORT_MILLIS, () -> ended.complete(KILLED));
        }
    }

    @Override
    public boolean awaitEnd(long millis) {
        try {
            ended.get(millis, TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException | ExecutionException e) {
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    @Override
    public long pid() {
        return process.pid();
    }

    private void read() {
        MDC.put(Logging.SHARD, shardId);
        try {
            byte[] frame = frames.read(MessagePackWire.MAX_INCOMING_BYTES);
            while (frame != null) {
                listener.onMessage(MessagePackWire.decode(frame));
                frame = frames.read(MessagePackWire.MAX_INCOMING_BYTES);
            }
        } catch (MalformedFrameException e) {
            malformed = e.getMessage();
        } catch (IOException e) {
            log.debug("process {}: {}", pid(), e.getMessage());
        } catch (RuntimeException e) {
            log.error("a message of process {} could not be used: {}", pid(), Errors.oneLine(e), e);
            malformed = "a message of it could not be used";
        }
        if (!awaitEnd(REPORT_MILLIS)) {
            // Whether or not it lives, nothing more can come from it.
            ProcessTree.kill(process);
            ended.complete(CLOSED);
        }
    }

    private void report(String said) {
        String reason = said;
        try {
            reader.join(LAST_WORDS_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        try {
            channel.close();
            // Nothing may be said after the end.
            reader.join();
        } catch (IOException | InterruptedException e) {
            log.debug("process {}: {}", pid(), e.getMessage());
        }
        if (malformed != null) {
            reason = malformed;
        } else if (killed) {
            reason = KILLED;
        }
        listener.onEnd(reason);
    }
}
