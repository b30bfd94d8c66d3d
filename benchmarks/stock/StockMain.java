package stock;

import com.amazonaws.services.dynamodbv2.streamsadapter.AmazonDynamoDBStreamsAdapterClient;
import com.amazonaws.services.dynamodbv2.streamsadapter.StreamsSchedulerFactory;
import com.amazonaws.services.dynamodbv2.streamsadapter.polling.DynamoDBStreamsPollingConfig;
import java.net.URI;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.commons.beanutils.BeanUtilsBean;
import org.apache.commons.beanutils.ConvertUtilsBean;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.multilang.MultiLangRecordProcessorFactory;
import software.amazon.kinesis.multilang.config.MultiLangDaemonConfiguration;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;

/**
 * What a careful engineer glues together: the adapter, and the multilang library's own record processors with an
 * amazon_kclpy program, or one in Java that only counts. KCL's default settings, but no metrics: there is no CloudWatch.
 */
public final class StockMain {
    private static final String COUNTING = "count";
    private static final String LOCAL_REGION = ":dynamodb:ddblocal:";

    private StockMain() {}

    /** Arguments: endpoint, region, stream ARN, application name, and the program's command, or "count". */
    public static void main(String[] arguments) {
        URI endpoint = URI.create(arguments[0]);
        Region region = Region.of(arguments[1]);
        String regional = ":dynamodb:" + region + ":";
        StaticCredentialsProvider credentials =
                StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
        DynamoDbStreamsClient streams = DynamoDbStreamsClient.builder()
                .endpointOverride(endpoint)
                .region(region)
                .credentialsProvider(credentials)
                .overrideConfiguration(config -> {
                    if (arguments[2].contains(LOCAL_REGION)) {
                        config.addExecutionInterceptor(new LocalArns(regional));
                    }
                })
                .build();
        AmazonDynamoDBStreamsAdapterClient adapter = new AmazonDynamoDBStreamsAdapterClient(streams, region);
        DynamoDbAsyncClient dynamoDB = DynamoDbAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(region)
                .credentialsProvider(credentials)
                .build();
        ConfigsBuilder configs = new ConfigsBuilder(
                StreamsSchedulerFactory.createSingleStreamTracker(
                        arguments[2].replace(LOCAL_REGION, regional),
                        InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)),
                arguments[3],
                adapter,
                dynamoDB,
                CloudWatchAsyncClient.builder().region(region).credentialsProvider(credentials).build(),
                UUID.randomUUID().toString(),
                processors(arguments[4]));
        Scheduler scheduler = StreamsSchedulerFactory.createScheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig(),
                configs.leaseManagementConfig(),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(polling(adapter, arguments[4])),
                adapter);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> shutDown(scheduler)));
        scheduler.run();
        System.exit(0);
    }

    /** What only counts does not pause either: it is to be as fast as the adapter can be. */
    private static DynamoDBStreamsPollingConfig polling(AmazonDynamoDBStreamsAdapterClient adapter, String command) {
        DynamoDBStreamsPollingConfig polling = new DynamoDBStreamsPollingConfig(adapter);
        return command.equals(COUNTING) ? polling.idleTimeBetweenReadsInMillis(1) : polling;
    }

    private static ShardRecordProcessorFactory processors(String command) {
        if (command.equals(COUNTING)) {
            return CountingProcessor::new;
        }
        MultiLangRecordProcessorFactory programs = new MultiLangRecordProcessorFactory(
                command,
                Executors.newCachedThreadPool(),
                new MultiLangDaemonConfiguration(new BeanUtilsBean(), new ConvertUtilsBean()));
        return () -> new ForAdapter(programs.shardRecordProcessor());
    }

    /** As the multilang library's daemon does it, with a grace period. */
    private static void shutDown(Scheduler scheduler) {
        try {
            scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
        } catch (Exception e) {
            System.err.println("no graceful shutdown: " + e);
        }
    }

    /** The adapter refuses the region that DynamoDB Local puts into its ARNs. */
    private record LocalArns(String regional) implements ExecutionInterceptor {
        @Override
        public SdkRequest modifyRequest(Context.ModifyRequest context, ExecutionAttributes attributes) {
            if (context.request() instanceof DescribeStreamRequest request) {
                return request.toBuilder().streamArn(local(request.streamArn())).build();
            }
            if (context.request() instanceof GetShardIteratorRequest request) {
                return request.toBuilder().streamArn(local(request.streamArn())).build();
            }
            return context.request();
        }

        private String local(String arn) {
            return arn.replace(regional, LOCAL_REGION);
        }
    }
}
