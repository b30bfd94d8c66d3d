package recordprocessor;

import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import com.amazonaws.services.dynamodbv2.streamsadapter.polling.DynamoDBStreamsPollingConfig;
import java.util.HashSet;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MarkerFactory;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig.ClientVersionConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.coordinator.SchedulerCoordinatorFactory;
import software.amazon.kinesis.coordinator.WorkerStateChangeListener;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.lifecycle.LifecycleConfig;
import software.amazon.kinesis.metrics.MetricsConfig;
import software.amazon.kinesis.metrics.MetricsFactory;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.retrieval.RetrievalConfig;

/** KCL, configured: every KCL property of the schema goes through KCL's public {@link ConfigsBuilder} here. */
final class Kcl {
    private static final Logger log = LoggerFactory.getLogger(Kcl.class);
    /** How often the scheduler looks after its shards. KCL's second would be paid three times before a first batch. */
    private static final long DISPATCH_POLL_MILLIS = 100;

    private static final long FETCH_PAUSE_MILLIS = 5;

    private final Scheduler scheduler;
    private final Leases leases;
    private final MetricsFactory metrics;
    private final Drain drain;

    private Kcl(Scheduler scheduler, Leases leases, MetricsFactory metrics, Drain drain) {
        this.scheduler = scheduler;
        this.leases = leases;
        this.metrics = metrics;
        this.drain = drain;
    }

    static Kcl build(
            Settings settings, AwsClients aws, SourceStreams streams, ShardProcessors processors, Drain drain) {
        boolean metricsUsed = settings.text("metricsLevel")
                .filter(level -> !level.equals("NONE"))
                .isPresent();
        ConfigsBuilder configs = new ConfigsBuilder(
                streams,
                settings.applicationName(),
                aws.streams(),
                aws.dynamoDB(),
                aws.cloudWatch(metricsUsed),
                settings.workerId(),
                processors);
        configs.tableName(settings.leaseTable());
        LeaseManagementConfig leaseManagement = configure(configs.leaseManagementConfig(), settings);
        MetricsConfig metrics = metrics(configs, settings, metricsUsed);
        Scheduler scheduler = StreamsSchedulerFactory.createScheduler(
                configs.checkpointConfig(),
                coordinator(configs, settings, drain),
                leaseManagement,
                lifecycle(configs, settings),
                metrics,
                configs.processorConfig(),
                retrieval(configs, settings, aws),
                aws.streams());
        // After createScheduler, which sets the adapter's own.
        leaseManagement.consumerTaskFactory(new ShardEnd());
        Leases leases = new Leases(
                settings.leaseTable(),
                settings.failoverTimeMillis(),
                aws.dynamoDB(),
                scheduler.leaseCoordinator(),
                leaseManagement.leaseManagementFactory(Leases.SERIALIZER, true),
                aws.streams()::shards);
        return new Kcl(scheduler, leases, metrics.metricsFactory(), drain);
    }

    Leases leases() {
        return leases;
    }

    /** Where KCL itself counts. */
    MetricsFactory metrics() {
        return metrics;
    }

    void start() {
        Background.run("scheduler", this::run);
    }

    private void run() {
        try {
            scheduler.run();
        } catch (RuntimeException e) {
            log.error("KCL's scheduler ended by an error: {}", Errors.oneLine(e), e);
        }
        drain.schedulerEnded();
    }

    private static CoordinatorConfig coordinator(ConfigsBuilder configs, Settings settings, Drain drain) {
        CoordinatorConfig config = configs.coordinatorConfig()
                .clientVersionConfig(ClientVersionConfig.CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X)
                .skipShardSyncAtWorkerInitializationIfLeasesExist(true)
                .shardConsumerDispatchPollIntervalMillis(DISPATCH_POLL_MILLIS)
                .coordinatorFactory(new FewThreads())
                .workerStateChangeListener(new Listener(settings, drain));
        config.coordinatorStateTableConfig().tableName(settings.stateTable());
        settings.ifLong("parentShardPollIntervalMillis", config::parentShardPollIntervalMillis);
        settings.ifLong("schedulerInitializationBackoffTimeMillis", config::schedulerInitializationBackoffTimeMillis);
        return config;
    }

    /** What the properties say of leases and their table. */
    static LeaseManagementConfig configure(LeaseManagementConfig config, Settings settings) {
        // 0: KCL would sleep for that long after each shard sync, a minute by default.
        config.shardSyncIntervalMillis(0);
        config.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        settings.ifLong("failoverTimeMillis", config::failoverTimeMillis);
        settings.ifInt("maxLeasesForWorker", config::maxLeasesForWorker);
        settings.ifInt("maxLeasesToStealAtOneTime", config::maxLeasesToStealAtOneTime);
        settings.ifInt("maxLeaseRenewalThreads", config::maxLeaseRenewalThreads);
        settings.ifBoolean("cleanupLeasesUponShardCompletion", config::cleanupLeasesUponShardCompletion);
        settings.text("billingMode").map(BillingMode::fromValue).ifPresent(config::billingMode);
        settings.ifInt("initialLeaseTableReadCapacity", config::initialLeaseTableReadCapacity);
        settings.ifInt("initialLeaseTableWriteCapacity", config::initialLeaseTableWriteCapacity);
        settings.ifBoolean("leaseTableDeletionProtectionEnabled", config::leaseTableDeletionProtectionEnabled);
        settings.ifBoolean("leaseTablePitrEnabled", config::leaseTablePitrEnabled);
        return config;
    }

    private static LifecycleConfig lifecycle(ConfigsBuilder configs, Settings settings) {
        LifecycleConfig config = configs.lifecycleConfig();
        settings.ifLong("taskBackoffTimeMillis", config::taskBackoffTimeMillis);
        settings.ifLong(
                "logWarningForTaskAfterMillis", millis -> config.logWarningForTaskAfterMillis(Optional.of(millis)));
        return config;
    }

    private static MetricsConfig metrics(ConfigsBuilder configs, Settings settings, boolean used) {
        MetricsConfig config = configs.metricsConfig();
        if (!used) {
            return config.metricsFactory(new NullMetricsFactory());
        }
        settings.text("metricsLevel").map(MetricsLevel::valueOf).ifPresent(config::metricsLevel);
        settings.ifLong("metricsBufferTimeMillis", config::metricsBufferTimeMillis);
        settings.ifInt("metricsMaxQueueSize", config::metricsMaxQueueSize);
        if (!settings.list("metricsEnabledDimensions").isEmpty()) {
            config.metricsEnabledDimensions(new HashSet<>(settings.list("metricsEnabledDimensions")));
        }
        return config;
    }

    private static RetrievalConfig retrieval(ConfigsBuilder configs, Settings settings, AwsClients aws) {
        DynamoDBStreamsPollingConfig polling = new DynamoDBStreamsPollingConfig(aws.streams());
        settings.ifInt("maxRecords", polling::maxRecords);
        // The pauses are ours, see Polling. KCL also waits for so long before it looks again whether there is room.
        polling.idleTimeBetweenReadsInMillis(FETCH_PAUSE_MILLIS);
        polling.recordsFetcherFactory().maxPendingProcessRecordsInput(ReadAhead.PAGES - 2);
        return configs.retrievalConfig().retrievalSpecificConfig(polling);
    }

    /** For tasks of shards, of which there are many at the start. */
    private static final class FewThreads extends SchedulerCoordinatorFactory {
        @Override
        public ExecutorService createExecutorService() {
            return Background.endingSoon(super.createExecutorService());
        }
    }

    /** Says that the daemon runs, and does not let a scheduler that cannot initialize end as if all were well. */
    private record Listener(Settings settings, Drain drain) implements WorkerStateChangeListener {
        @Override
        public void onWorkerStateChange(WorkerState state) {
            if (state == WorkerState.STARTED) {
                drain.kclStarted();
                log.info(
                        MarkerFactory.getMarker("started"),
                        "running as worker {} of application {}; leases in table {}",
                        settings.workerId(),
                        settings.applicationName(),
                        settings.leaseTable());
            }
        }

        @Override
        public void onAllInitializationAttemptsFailed(Throwable e) {
            drain.cannotStart("KCL could not start: " + Errors.oneLine(e.getCause() == null ? e : e.getCause()));
        }
    }
}
