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
 * one with the event {@code startWorker} asks for a worker, one with {@code ended} says why the daemon ends.
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
            log.error(Logging.ENDED, "{}", e.getMessage());
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
        Transport.Factory transports = transports(settings);
        Host host = new Host(settings, transports);
        AwsClients aws = AwsClients.create(host);
        Drain drain = new Drain(settings.shutdownGraceMillis());
        ShardProcessors processors = new ShardProcessors(host, drain::everyShardStopped);
        Lifeline.watch(fromLauncher, drain::request, transports::onWorkerEnded);

        StateTable state = new StateTable(settings, aws);
        LeaseTable leaseTable = new LeaseTable(settings, aws);
        SourceStreams streams = SourceStreams.find(host, aws, state, leaseTable);
        Kcl kcl = Kcl.build(settings, aws, streams, processors, drain);
        processors.use(kcl);

        leaseTable.awaitReady(state);
        streams.follow(kcl.leases());
        leaseTable.watch();
        Peers peers = peers(settings, state, kcl.leases(), drain);
        host.spareMemory().start();
        aws.started();
        drain.begin();
        peers.start();
        kcl.start();
        return drain.await(processors, kcl.leases(), peers);
    }

    private static Peers peers(Settings settings, StateTable state, Leases leases, Drain drain) {
        Peers peers = new Peers(
                state,
                settings.workerId(),
                settings.failoverTimeMillis(),
                System::nanoTime,
                leases::evictAllOf,
                leases::takeNow,
                drain::namesake);
        leases.use(peers::nanosUntilSilent);
        return peers;
    }

    private static Transport.Factory transports(Settings settings) {
        if (settings.stockProgram() || settings.socket().isEmpty()) {
            return StdioTransport.factory(settings);
        }
        return WorkerSocket.open(settings.socket().get(), settings.token(), Logging::startWorker);
    }
}
