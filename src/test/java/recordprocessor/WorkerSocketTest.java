package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePacker;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.multilang.messages.LeaseLostMessage;
import software.amazon.kinesis.multilang.messages.Message;
import software.amazon.kinesis.multilang.messages.StatusMessage;

/** Real sockets; the workers are threads of this test, their processes any that can be ended. */
class WorkerSocketTest {
    private static final String TOKEN = "0123456789abcdef";

    @TempDir
    private Path folder;

    private final List<Long> asked = new CopyOnWriteArrayList<>();
    private final List<Message> messages = new CopyOnWriteArrayList<>();
    private final List<String> ends = new CopyOnWriteArrayList<>();
    private final List<Process> processes = new CopyOnWriteArrayList<>();
    private final List<SocketChannel> connections = new CopyOnWriteArrayList<>();
    private final ListAppender<ILoggingEvent> log = new ListAppender<>();
    private WorkerSocket socket;

    @BeforeEach
    void listen() {
        log.list = new CopyOnWriteArrayList<>();
        log.setContext((LoggerContext) LoggerFactory.getILoggerFactory());
        log.start();
        ((Logger) LoggerFactory.getLogger(WorkerSocket.class)).addAppender(log);
        socket = WorkerSocket.open(path(), TOKEN, asked::add);
    }

    @AfterEach
    void end() throws IOException {
        ((Logger) LoggerFactory.getLogger(WorkerSocket.class)).detachAppender(log);
        processes.forEach(Process::destroyForcibly);
        for (SocketChannel each : connections) {
            each.close();
        }
    }

    private Path path() {
        return folder.resolve("workers");
    }

    private SocketChannel connect() throws IOException {
        SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(path()));
        connections.add(channel);
        return channel;
    }

    private static void send(SocketChannel channel, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    private interface Fields {
        void pack(MessagePacker packer) throws IOException;
    }

    private static byte[] frame(int fields, String action, Fields rest) {
        try (MessageBufferPacker packer = MessagePack.newDefaultBufferPacker()) {
            packer.packMapHeader(1 + fields);
            packer.packString("action").packString(action);
            rest.pack(packer);
            byte[] content = packer.toByteArray();
            return ByteBuffer.allocate(4 + content.length)
                    .putInt(content.length)
                    .put(content)
                    .array();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] hello(String token, long worker, long pid) {
        return frame(3, "hello", packer -> packer.packString("token")
                .packString(token)
                .packString("worker")
                .packLong(worker)
                .packString("pid")
                .packLong(pid));
    }

    private static byte[] acknowledge(String number) {
        return frame(
                1, "acknowledge", packer -> packer.packString("sequenceNumber").packString(number));
    }

    private Process sleeping() throws IOException {
        return process("sleep", "600");
    }

    private Process process(String... command) throws IOException {
        Process process = new ProcessBuilder(command).start();
        processes.add(process);
        return process;
    }

    private CompletableFuture<Transport> starting() {
        return CompletableFuture.supplyAsync(
                () -> {
                    try {
                        Transport transport = socket.start("shardId-1");
                        transport.listen(new Transport.Listener() {
                            @Override
                            public void onMessage(Message message) {
                                messages.add(message);
                            }

                            @Override
                            public void onEnd(String reason) {
                                ends.add(reason);
                            }
                        });
                        return transport;
                    } catch (IOException e) {
                        throw new java.io.UncheckedIOException(e);
                    }
                },
                Background.threads("start"));
    }

    private Transport started(SocketChannel channel, Process process) throws Exception {
        int before = asked.size();
        CompletableFuture<Transport> starting = starting();
        Fakes.await("a worker is asked for", () -> asked.size() > before);
        send(channel, hello(TOKEN, asked.get(before), process.pid()));
        return starting.get();
    }

    private void awaitRefused(String why) {
        Fakes.await("refused: " + why + "; logged: " + log.list, () -> log.list.stream()
                .anyMatch(line ->
                        line.getFormattedMessage().equals("a connection to the workers' socket was refused: " + why)));
    }

    private static void awaitClosed(SocketChannel channel) {
        Fakes.await("the connection is closed", () -> {
            try {
                return channel.read(ByteBuffer.allocate(1)) < 0;
            } catch (IOException e) {
                return true;
            }
        });
    }

    @Test
    void aWorkerThatSaysHelloIsSpokenTo() throws Exception {
        SocketChannel channel = connect();
        Process process = sleeping();
        Transport transport = started(channel, process);
        assertEquals(process.pid(), transport.pid());
        send(channel, acknowledge("101"));
        send(channel, frame(1, "status", packer -> packer.packString("responseFor")
                .packString("initialize")));
        Fakes.await("both", () -> messages.size() == 2);
        assertEquals("101", ((AcknowledgeMessage) messages.get(0)).getSequenceNumber());
        assertEquals("initialize", ((StatusMessage) messages.get(1)).getResponseFor());
        transport.send(new LeaseLostMessage());
        byte[] expected = MessagePackWire.frame(new LeaseLostMessage());
        ByteBuffer heard = ByteBuffer.allocate(expected.length);
        while (heard.hasRemaining()) {
            channel.read(heard);
        }
        assertEquals(ByteBuffer.wrap(expected), heard.flip());
        transport.closeInput();
        awaitClosed(channel);
    }

    @Test
    void largeFramesAndAcknowledgementsPassEachOther() throws Exception {
        SocketChannel channel = connect();
        Transport transport = started(channel, sleeping());
        byte[] event = new byte[3 * 1024 * 1024];
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread sending = new Thread(() -> {
            try {
                transport.sendRecords(new RecordsHeader(1L, new LeaseTerms(1, 2)), List.of(Slice.of(event)));
            } catch (IOException e) {
                failure.set(e);
            }
        });
        sending.start();
        // Its reader is never held up by the frame that nobody reads yet.
        for (int i = 0; i < 1000; i++) {
            send(channel, acknowledge("101"));
        }
        Fakes.await("all", () -> messages.size() == 1000);
        int length = read(channel, 4).getInt();
        assertTrue(length > event.length);
        read(channel, length);
        sending.join(20_000);
        assertFalse(sending.isAlive());
        assertEquals(null, failure.get());
    }

    private static ByteBuffer read(SocketChannel channel, int length) throws IOException {
        ByteBuffer heard = ByteBuffer.allocate(length);
        while (heard.hasRemaining()) {
            assertTrue(channel.read(heard) >= 0, "the connection ended");
        }
        return heard.flip();
    }

    @Test
    void whoeverDoesNotKnowTheTokenIsRefused() throws Exception {
        CompletableFuture<Transport> starting = starting();
        Fakes.await("a worker is asked for", () -> asked.size() == 1);
        Process process = sleeping();
        SocketChannel channel = connect();
        send(channel, hello("guessed", asked.get(0), process.pid()));
        awaitRefused("its token is wrong");
        awaitClosed(channel);
        assertFalse(starting.isDone());
        assertTrue(process.isAlive());
        SocketChannel right = connect();
        send(right, hello(TOKEN, asked.get(0), process.pid()));
        assertEquals(process.pid(), starting.get().pid());
    }

    @Test
    void aWorkerThatNobodyWaitsForIsRefused() throws Exception {
        Process process = sleeping();
        send(connect(), hello(TOKEN, 99, process.pid()));
        awaitRefused("no worker 99 is waited for");
        started(connect(), process);
        send(connect(), hello(TOKEN, asked.get(0), process.pid()));
        awaitRefused("worker 1 is not waited for any more");
        send(connect(), hello(TOKEN, asked.get(0), 0x7fffffffL));
        awaitRefused("worker 1 is no process");
        assertTrue(ends.isEmpty());
    }

    @Test
    void whoeverSaysNoHelloInTimeIsRefused() throws Exception {
        SocketChannel channel = connect();
        send(channel, new byte[] {0, 0});
        awaitRefused("it said no hello within 2000 ms");
        awaitClosed(channel);
        connect().close();
        awaitRefused("it ended before it said hello");
    }

    @Test
    void aFirstFrameThatIsNoHelloIsRefused() throws Exception {
        send(connect(), hello("x".repeat(2000), 1, 1));
        Fakes.await("refused", () -> log.list.stream()
                .anyMatch(line -> line.getFormattedMessage().contains("from 1 to 1024 are allowed")));
        send(connect(), acknowledge("101"));
        awaitRefused("its first frame was no hello");
        send(connect(), new byte[] {0, 0, 0, 1, (byte) 0xc0});
        awaitRefused("it sent a frame that is not a whole map of MessagePack");
    }

    @Test
    void aWorkerThatEndsBeforeItSaysHelloIsNoLongerWaitedFor() {
        CompletableFuture<Transport> starting = starting();
        Fakes.await("a worker is asked for", () -> asked.size() == 1);
        socket.onWorkerEnded(asked.get(0), "it ended with exit code 3");
        Fakes.await("its end", starting::isCompletedExceptionally);
        try {
            starting.get();
        } catch (ExecutionException | InterruptedException e) {
            assertEquals("it ended with exit code 3", e.getCause().getCause().getMessage());
        }
        socket.onWorkerEnded(asked.get(0), "again");
        socket.onWorkerEnded(99, "never asked for");
    }

    @Test
    void anEndIsTheLaunchersWordAndComesAfterWhatWasSaidLast() throws Exception {
        SocketChannel channel = connect();
        started(channel, sleeping());
        for (int i = 0; i < 1000; i++) {
            send(channel, acknowledge("101"));
        }
        channel.close();
        socket.onWorkerEnded(asked.get(0), "it ended with signal 9");
        socket.onWorkerEnded(asked.get(0), "again");
        Fakes.await("its end", () -> !ends.isEmpty());
        assertEquals(List.of("it ended with signal 9"), ends);
        assertEquals(1000, messages.size());
    }

    @Test
    void anEndIsSeenThoughAnotherProcessHoldsTheConnection() throws Exception {
        started(connect(), sleeping());
        socket.onWorkerEnded(asked.get(0), "it ended with signal 9");
        Fakes.await("its end", () -> ends.equals(List.of("it ended with signal 9")));
    }

    @Test
    void aWorkerThatClosesItsConnectionIsEnded() throws Exception {
        SocketChannel channel = connect();
        Process process = sleeping();
        started(channel, process);
        channel.close();
        Fakes.await("its end", () -> ends.equals(List.of("it closed its connection")));
        Fakes.await("the process's end", () -> !process.isAlive());
    }

    @Test
    void aWorkerThatSendsGarbageIsEndedAndTheReasonSaysWhatWasWrong() throws Exception {
        SocketChannel channel = connect();
        Process process = sleeping();
        started(channel, process);
        send(channel, acknowledge("101"));
        send(channel, new byte[] {(byte) 0xff, 0, 0, 0});
        send(channel, acknowledge("102"));
        Fakes.await("its end", () -> ends.size() == 1);
        assertEquals("it sent a frame of 4278190080 bytes; from 1 to 65536 are allowed", ends.get(0));
        assertEquals(1, messages.size());
        Fakes.await("the process's end", () -> !process.isAlive());
        awaitClosed(channel);
    }

    @Test
    void killEndsAWorkerAndWhatItStarted() throws Exception {
        Process process = process("sh", "-c", "sleep 600 & wait");
        Fakes.await("its child", () -> process.descendants().count() == 1);
        ProcessHandle grandchild = process.descendants().findFirst().orElseThrow();
        Transport transport = started(connect(), process);
        transport.kill();
        Fakes.await("both end", () -> !process.isAlive() && !grandchild.isAlive());
        socket.onWorkerEnded(asked.get(0), "it ended with signal 9");
        Fakes.await("its end", () -> ends.equals(List.of("killed by the daemon")));
        assertTrue(transport.awaitEnd(0));
    }

    @Test
    void aKillThatTheLauncherNeverReportsIsAnEndAllTheSame() throws Exception {
        Transport transport = started(connect(), sleeping());
        transport.kill();
        Fakes.await("its end", () -> ends.equals(List.of("killed by the daemon")));
    }

    @Test
    void aStaleSocketIsReplacedAndAPathThatCannotBeIsOneClearError() {
        assertTrue(Files.exists(path()));
        WorkerSocket.open(path(), TOKEN, asked::add);
        StartException error = org.junit.jupiter.api.Assertions.assertThrows(
                StartException.class, () -> WorkerSocket.open(folder.resolve("no/folder"), TOKEN, asked::add));
        assertTrue(error.getMessage().startsWith("cannot listen for workers at "), error.getMessage());
    }
}
