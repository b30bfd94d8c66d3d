package recordprocessor;

import ch.qos.logback.classic.LoggerContext;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The daemon: KCL's scheduler over DynamoDB Streams, one child process for each shard.
 *
 * <p>The launcher starts it, gives it one line of settings on standard input, and keeps that pipe
 * open: a line {@code {"action":"drain"}} asks for a drain, {@code {"action":"workerEnded","worker":1,"reason":"…"}}
 * reports a worker's end, the end of the stream means that the launcher is gone. Standard output carries log lines only;
 * one with the event {@code startWorker} asks for a worker.
 */
public final class Daemon {
    private static final Logger log = LoggerFactory.getLogger(Daemon.class);

    private Daemon() {}

    public static void main(String[] args) throws IOException {
        BufferedReader fromLauncher = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int exitCode;
        try {
            Settings settings = Settings.parse(fromLauncher.readLine());
            Logging.configure(settings.logLevel());
            exitCode = run(settings, fromLauncher);
        } catch (StartException e) {
            log.error("{}", e.getMessage());
            log.debug("because of", e.getCause());
            exitCode = e.exitCode();
        } catch (Throwable e) {
            log.error("the daemon ended by an error of its own: {}", Errors.oneLine(e), e);
            exitCode = ExitCode.CRASHED;
        }
        ((LoggerContext) LoggerFactory.getILoggerFactory()).stop();
        // Not System.exit: nothing may wait for KCL's own threads and hooks any more.
        Runtime.getRuntime().halt(exitCode);
    }

    private static int run(Settings settings, BufferedReader fromLauncher) {
        AwsClients aws = AwsClients.create(settings);
        Transport.Factory transports = transports(settings);
        Host host = new Host(settings, transports);
        ShardProcessors processors = new ShardProcessors(host);
        Drain drain = new Drain(settings.shutdownGraceMillis());
        Lifeline.watch(fromLauncher, drain::request, transports::onWorkerEnded);

        SourceStreams streams = SourceStreams.find(host, aws, new StateTable(settings, aws));
        Kcl kcl = Kcl.build(settings, aws, streams, processors, drain);
        processors.use(kcl);

        kcl.leases().createTable();
        streams.follow(kcl.leases());
        drain.begin();
        kcl.start();
        return drain.await(processors, kcl);
    }

    private static Transport.Factory transports(Settings settings) {
        if (settings.stockProgram() || settings.socket().isEmpty()) {
            return StdioTransport.factory(settings);
        }
        return WorkerSocket.open(settings.socket().get(), settings.token(), Logging::startWorker);
    }
}
