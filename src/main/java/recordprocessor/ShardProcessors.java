package recordprocessor;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;

/** Every {@link ShardProcessor} of this host. */
final class ShardProcessors implements ShardRecordProcessorFactory {
    private static final long WATCH_MILLIS = 250;

    private final Settings settings;
    private final Transport.Factory transports;
    private final Budget budget;
    private final Set<ShardProcessor> live = ConcurrentHashMap.newKeySet();
    private volatile Leases leases;
    private volatile boolean draining;

    ShardProcessors(Settings settings, Transport.Factory transports) {
        this.settings = settings;
        this.transports = transports;
        this.budget = new Budget(settings.maximumUnacknowledgedBytes());
        Background.forEver("shard-watch", () -> {
            live.forEach(ShardProcessor::watch);
            return WATCH_MILLIS;
        });
    }

    /** The leases come out of KCL, and KCL is built with this factory. */
    void use(Leases kclLeases) {
        leases = kclLeases;
    }

    /** The adapter asks for one only to look at its class. */
    @Override
    public ShardRecordProcessor shardRecordProcessor() {
        return new ShardProcessor(settings, null, null, transports, budget, ended -> {});
    }

    @Override
    public ShardRecordProcessor shardRecordProcessor(StreamIdentifier stream) {
        ShardProcessor processor = new ShardProcessor(settings, stream, leases, transports, budget, live::remove);
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
