package recordprocessor;

import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.metrics.MetricsFactory;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.MetricsScope;
import software.amazon.kinesis.metrics.MetricsUtil;

/** Counts what the filter kept from one shard's process: for the log, and for KCL's metrics by Lambda's name for it. */
final class FilteredRecords {
    private static final Logger log = LoggerFactory.getLogger(FilteredRecords.class);
    private static final String METRIC = "FilteredOutEventCount";
    private static final String OPERATION = "ProcessTask";
    private static final long LOG_NANOS = Duration.ofMinutes(1).toNanos();

    private final MetricsFactory metrics;
    private final StreamIdentifier stream;
    private long read;
    private long filtered;
    private long lastLogNanos = System.nanoTime();

    FilteredRecords(MetricsFactory metrics, StreamIdentifier stream) {
        this.metrics = metrics;
        this.stream = stream;
    }

    /** Called by the shard's own thread, for each batch. */
    synchronized void add(String shardId, int batchRead, int batchFiltered) {
        read += batchRead;
        filtered += batchFiltered;
        if (batchFiltered > 0) {
            MetricsScope scope = MetricsUtil.createMetricsWithOperation(metrics, OPERATION);
            MetricsUtil.addStreamId(scope, stream);
            MetricsUtil.addShardId(scope, shardId);
            MetricsUtil.addCount(scope, METRIC, batchFiltered, MetricsLevel.SUMMARY);
            MetricsUtil.endScope(scope);
        }
        if (System.nanoTime() - lastLogNanos > LOG_NANOS) {
            log();
        }
    }

    /** Says how many there were since the last time. */
    synchronized void log() {
        lastLogNanos = System.nanoTime();
        if (filtered > 0) {
            log.info("{} of {} records were filtered out", filtered, read);
        }
        read = 0;
        filtered = 0;
    }
}
