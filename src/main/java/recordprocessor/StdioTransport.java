package recordprocessor;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.kinesis.multilang.messages.Message;

/**
 * MultiLang's stock wire: JSON lines in UTF-8 over a child's standard input and output. Its standard error, and every
 * line of its standard output that is no message, is log.
 */
final class StdioTransport implements Transport {
    private static final Logger log = LoggerFactory.getLogger(StdioTransport.class);
    private static final long LAST_WORDS_MILLIS = 1_000;

    /**
     * On Linux a child is killed when the thread that started it ends (PR_SET_PDEATHSIG counts threads), so one thread,
     * which ends only with the JVM, starts them all.
     */
    private static final ExecutorService STARTER = Executors.newSingleThreadExecutor(task -> {
        Thread thread = new Thread(task, "child-starter");
        thread.setDaemon(true);
        return thread;
    });

    private final String shardId;
    private final Process process;
    private final JsonWire wire;
    private final OutputStream toChild;
    private final Thread reader;
    private final Thread errorReader;
    private volatile Listener listener;
    private volatile String killed;

    private StdioTransport(String shardId, Process process, JsonWire wire) {
        this.shardId = shardId;
        this.process = process;
        this.wire = wire;
        this.toChild = process.getOutputStream();
        this.reader = thread("child-output", process.getInputStream(), this::onOutputLine);
        this.errorReader = thread("child-errors", process.getErrorStream(), ChildLog::line);
    }

    static Transport.Factory factory(Settings settings) {
        JsonWire wire = new JsonWire(settings.stockProgram());
        return new Transport.Factory() {
            @Override
            public Transport start(String shardId) throws IOException {
                return new StdioTransport(shardId, StdioTransport.start(settings), wire);
            }

            @Override
            public byte[] encode(Record event) {
                return wire.encode(event);
            }
        };
    }

    private static Process start(Settings settings) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(settings.command());
        builder.environment()
                .put(
                        "RECORD_PROCESSOR_PARENT_PID",
                        Long.toString(ProcessHandle.current().pid()));
        Future<Process> started = STARTER.submit(builder::start);
        try {
            return started.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } catch (java.util.concurrent.ExecutionException e) {
            throw new IOException(e.getCause().getMessage(), e.getCause());
        }
    }

    @Override
    public void listen(Listener toTell) {
        listener = toTell;
        reader.start();
        errorReader.start();
        Background.run("child-end-" + shardId, this::awaitExit);
    }

    @Override
    public void send(Message message) throws IOException {
        write(wire.line(message));
    }

    @Override
    public void sendRecords(RecordsHeader header, List<Slice> records) throws IOException {
        write(wire.line(header, records));
    }

    private void write(byte[] line) throws IOException {
        synchronized (toChild) {
            toChild.write(line);
            toChild.flush();
        }
    }

    @Override
    public void closeInput() {
        try {
            toChild.close();
        } catch (IOException e) {
            log.debug("process {}: {}", pid(), e.getMessage());
        }
    }

    @Override
    public void kill() {
        killed = "killed by the daemon";
        ProcessTree.kill(process.toHandle());
    }

    @Override
    public boolean awaitEnd(long millis) {
        try {
            return process.waitFor(millis, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    @Override
    public long pid() {
        return process.pid();
    }

    private void onOutputLine(LineReader.Line line) {
        if (line.whole() && line.text().startsWith("{")) {
            try {
                listener.onMessage(wire.decode(line.text()));
                return;
            } catch (JsonProcessingException e) {
                // A program's own output that happens to look like JSON.
            }
        }
        ChildLog.output(line.text());
    }

    private void awaitExit() {
        try {
            process.waitFor();
            // What it said last may still be in the pipe; a grandchild that holds the pipe open must not hold us.
            reader.join(LAST_WORDS_MILLIS);
            errorReader.join(LAST_WORDS_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        listener.onEnd(killed != null ? killed : "it ended with " + status(process.exitValue()));
    }

    private static String status(int exitValue) {
        return exitValue > 128 ? "signal " + (exitValue - 128) : "exit code " + exitValue;
    }

    private Thread thread(String name, InputStream in, java.util.function.Consumer<LineReader.Line> use) {
        Thread thread = new Thread(() -> drain(in, use), name + "-" + shardId);
        thread.setDaemon(true);
        return thread;
    }

    private void drain(InputStream in, java.util.function.Consumer<LineReader.Line> use) {
        MDC.put(Logging.SHARD, shardId);
        try {
            LineReader lines = new LineReader(in);
            for (LineReader.Line line = lines.read(); line != null; line = lines.read()) {
                use.accept(line);
            }
        } catch (IOException e) {
            log.debug("process {}: {}", pid(), e.getMessage());
        }
        if (Thread.currentThread() == reader && !awaitEnd(LAST_WORDS_MILLIS)) {
            // It has closed its output and can never answer again.
            killed = "it closed its standard output";
            process.destroyForcibly();
        }
    }
}
