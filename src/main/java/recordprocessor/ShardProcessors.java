package recordprocessor;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.metrics.MetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;

/** Every {@link ShardProcessor} of this host. */
final class ShardProcessors implements ShardRecordProcessorFactory {
    private static final long WATCH_MILLIS = 250;

    private final Host host;
    private final Set<ShardProcessor> live = ConcurrentHashMap.newKeySet();
    private volatile Leases leases;
    private volatile MetricsFactory metrics;
    private volatile boolean draining;

    /** @param onAllStopped called, more than once, while fatal errors have stopped all that this host could handle */
    ShardProcessors(Host host, Runnable onAllStopped) {
        this.host = host;
        Background.forEver("shard-watch", () -> {
            live.forEach(ShardProcessor::watch);
            if (!draining && isAllStopped()) {
                onAllStopped.run();
            }
            return WATCH_MILLIS;
        });
    }

    private boolean isAllStopped() {
        Set<String> stopped = live.stream()
                .filter(each -> each.stopped().isPresent())
                .map(ShardProcessor::leaseKey)
                .collect(Collectors.toSet());
        return !stopped.isEmpty() && StoppedShards.areAll(leases.unfinished(), stopped);
    }

    /** They come out of KCL, and KCL is built with this factory. */
    void use(Kcl kcl) {
        leases = kcl.leases();
        metrics = kcl.metrics();
    }

    /** The adapter asks for one only to look at its class. */
    @Override
    public ShardRecordProcessor shardRecordProcessor() {
        return new ShardProcessor(host, null, null, null, ended -> {});
    }

    @Override
    public ShardRecordProcessor shardRecordProcessor(StreamIdentifier stream) {
        ShardProcessor processor = new ShardProcessor(host, stream, leases, metrics, live::remove);
        live.add(processor);
        if (draining) {
            processor.startDraining();
        }
        return processor;
    }

    List<ShardProcessor> live() {
        return List.copyOf(live);
    }

    /** From now on no batch is begun. */
    void startDraining() {
        draining = true;
        live.forEach(ShardProcessor::startDraining);
    }
}
