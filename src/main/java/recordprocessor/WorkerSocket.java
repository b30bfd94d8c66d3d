package recordprocessor;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.model.Record;

/**
 * Where our workers connect. The daemon asks the launcher for a worker under a number; the worker that is started for it
 * connects here and says the number.
 */
final class WorkerSocket implements Transport.Factory {
    private static final Logger log = LoggerFactory.getLogger(WorkerSocket.class);
    private static final long HELLO_MILLIS = 2_000;
    private static final String LATE = "it said no hello within " + HELLO_MILLIS + " ms";
    private static final int MAX_HELLO_BYTES = 1024;
    private static final int BACKLOG = 256;
    private static final long AFTER_ERROR_MILLIS = 1_000;

    private final ServerSocketChannel server;
    private final byte[] token;
    private final Launcher launcher;
    private final AtomicLong lastNumber = new AtomicLong();
    private final Map<Long, Worker> workers = new ConcurrentHashMap<>();

    /** Who starts workers; asked by the thread that works for the shard. */
    interface Launcher {
        void startWorker(long number);
    }

    /**
     * A worker that was asked for.
     *
     * @param connected when it has said hello
     * @param ended why it ended
     */
    private record Worker(
            String shardId, CompletableFuture<SocketTransport> connected, CompletableFuture<String> ended) {}

    private WorkerSocket(ServerSocketChannel server, String token, Launcher launcher) {
        this.server = server;
        this.token = token.getBytes(StandardCharsets.UTF_8);
        this.launcher = launcher;
    }

    static WorkerSocket open(Path path, String token, Launcher launcher) {
        if (token.isEmpty()) {
            throw StartException.configuration("the launcher gave a socket for workers, but no token");
        }
        try {
            Files.deleteIfExists(path);
            ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            server.bind(UnixDomainSocketAddress.of(path), BACKLOG);
            WorkerSocket socket = new WorkerSocket(server, token, launcher);
            Background.forEver("worker-socket", socket::accept);
            return socket;
        } catch (IOException e) {
            throw StartException.couldNotStart("cannot listen for workers at " + path + ": " + Errors.oneLine(e), e);
        }
    }

    @Override
    public byte[] encode(Record event) {
        return MessagePackRecord.encode(event);
    }

    @Override
    public boolean takesMessagePack() {
        return true;
    }

    @Override
    public Transport start(String shardId) throws IOException {
        workers.values().removeIf(each -> each.ended().isDone());
        long number = lastNumber.incrementAndGet();
        Worker worker = new Worker(shardId, new CompletableFuture<>(), new CompletableFuture<>());
        workers.put(number, worker);
        launcher.startWorker(number);
        Object unused =
                CompletableFuture.anyOf(worker.connected(), worker.ended()).join();
        // From here on it is too late for a hello.
        if (worker.connected().cancel(false)) {
            throw new IOException(worker.ended().join());
        }
        return worker.connected().join();
    }

    @Override
    public void onWorkerEnded(long number, String reason) {
        Worker worker = workers.get(number);
        if (worker != null) {
            worker.ended().complete(reason);
        }
    }

    private long accept() {
        try {
            SocketChannel channel = server.accept();
            Background.run("worker-hello", () -> welcome(channel));
            return 0;
        } catch (IOException e) {
            log.warn("a worker's connection could not be accepted: {}", Errors.oneLine(e));
            return AFTER_ERROR_MILLIS;
        }
    }

    private void welcome(SocketChannel channel) {
        AtomicBoolean decided = new AtomicBoolean();
        // A channel has no time limits; one that is closed ends its read.
        Background.later(HELLO_MILLIS, () -> {
            if (decided.compareAndSet(false, true)) {
                close(channel);
            }
        });
        String refused;
        try {
            refused = connect(channel, decided);
        } catch (MalformedFrameException e) {
            refused = e.getMessage();
        } catch (IOException e) {
            refused = decided.get() ? LATE : Errors.oneLine(e);
        }
        if (refused != null) {
            decided.set(true);
            close(channel);
            log.warn("a connection to the workers' socket was refused: {}", refused);
        }
    }

    /** Returns what is wrong with the connection, or null. */
    private String connect(SocketChannel channel, AtomicBoolean decided) throws IOException {
        FrameReader frames = new FrameReader(channel);
        byte[] frame = frames.read(MAX_HELLO_BYTES);
        if (frame == null) {
            return "it ended before it said hello";
        }
        if (!(MessagePackWire.decode(frame) instanceof HelloMessage hello)) {
            return "its first frame was no hello";
        }
        if (!MessageDigest.isEqual(token, hello.getToken().getBytes(StandardCharsets.UTF_8))) {
            return "its token is wrong";
        }
        Worker worker = workers.get(hello.getWorker());
        if (worker == null || worker.ended().isDone()) {
            return "no worker " + hello.getWorker() + " is waited for";
        }
        ProcessHandle process = ProcessHandle.of(hello.getPid()).orElse(null);
        if (process == null || process.pid() == ProcessHandle.current().pid()) {
            return "worker " + hello.getWorker() + " is no process";
        }
        if (!decided.compareAndSet(false, true)) {
            return LATE;
        }
        SocketTransport transport = new SocketTransport(worker.shardId(), channel, frames, process, worker.ended());
        return worker.connected().complete(transport)
                ? null
                : "worker " + hello.getWorker() + " is not waited for any more";
    }

    private static void close(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            log.debug("a refused connection", e);
        }
    }
}
