package recordprocessor;

import java.net.URI;
import java.time.Duration;
import java.util.Optional;
import software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProviderChain;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider;
import software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.auth.credentials.SystemPropertyCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.StandardRetryStrategy;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.LimitExceededException;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/** Every AWS client that the daemon uses, all pointed the same way. */
final class AwsClients {
    /** More than the shards that one host reads at once, so that no fetch waits for a connection. */
    private static final int MAX_STREAM_CONNECTIONS = 256;

    private final Region region;
    private final AwsCredentialsProvider credentials;
    private final Optional<URI> endpoint;
    private final DeniedCalls deniedCalls = new DeniedCalls();
    private final DynamoDbAsyncClient dynamoDB;
    private final StreamsClient streams;

    private AwsClients(Host host, AwsCredentialsProvider credentials, Optional<URI> endpoint) {
        this.region = Region.of(host.settings().regionName());
        this.credentials = credentials;
        this.endpoint = endpoint;
        this.dynamoDB =
                UnfinishedLeases.guarded(buildDynamoDB(), host.settings().leaseTable());
        DynamoDbStreamsClient dynamoDBStreams = buildStreams();
        this.streams = new StreamsClient(
                dynamoDBStreams,
                region,
                new ShardReads(
                        dynamoDBStreams,
                        new RecordReader(dynamoDBStreams, host.firstStarts(), host.filter(), host.transports()),
                        host.trimmedData(),
                        host.firstStarts(),
                        Polling.of(host.settings()),
                        host.readAhead(),
                        System::nanoTime),
                host);
    }

    static AwsClients create(Host host) {
        Settings settings = host.settings();
        Optional<URI> endpoint = settings.dynamoDBEndpoint();
        boolean local = endpoint.map(AwsClients::isLoopback).orElse(false);
        AwsCredentialsProvider credentials = local
                ? localCredentials()
                : DefaultCredentialsProvider.builder().build();
        try {
            credentials.resolveCredentials();
        } catch (SdkClientException e) {
            throw StartException.couldNotStart(
                    "no AWS credentials found; give the host an instance role, or set AWS_PROFILE, or"
                            + " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                    e);
        }
        return new AwsClients(host, credentials, endpoint);
    }

    /** From now on what AWS denies is said by the clients themselves. */
    void started() {
        deniedCalls.start();
    }

    Region region() {
        return region;
    }

    DynamoDbAsyncClient dynamoDB() {
        return dynamoDB;
    }

    StreamsClient streams() {
        return streams;
    }

    /** KCL wants a CloudWatch client even when it sends no metrics; then this one can sign nothing. */
    CloudWatchAsyncClient cloudWatch(boolean used) {
        return CloudWatchAsyncClient.builder()
                .region(region)
                .credentialsProvider(used ? credentials : AnonymousCredentialsProvider.create())
                .httpClientBuilder(NettyNioAsyncHttpClient.builder())
                .build();
    }

    private DynamoDbAsyncClient buildDynamoDB() {
        // Short: KCL and we try again ourselves, and the SDK's own patience (a minute) would cost KCL its leases.
        return DynamoDbAsyncClient.builder()
                .region(region)
                .credentialsProvider(credentials)
                .applyMutation(builder -> endpoint.ifPresent(builder::endpointOverride))
                .overrideConfiguration(config -> config.addExecutionInterceptor(deniedCalls)
                        .retryStrategy(retries(4, Duration.ofMillis(800)))
                        .apiCallAttemptTimeout(Duration.ofSeconds(5))
                        .apiCallTimeout(Duration.ofSeconds(10)))
                .httpClientBuilder(NettyNioAsyncHttpClient.builder())
                .build();
    }

    private DynamoDbStreamsClient buildStreams() {
        return DynamoDbStreamsClient.builder()
                .region(region)
                .credentialsProvider(credentials)
                .applyMutation(builder -> endpoint.ifPresent(builder::endpointOverride))
                .overrideConfiguration(config -> config.addExecutionInterceptor(new LocalArns())
                        .addExecutionInterceptor(new TakenRecords.Interceptor())
                        .addExecutionInterceptor(deniedCalls)
                        .retryStrategy(retries(10, Duration.ofSeconds(5))))
                .httpClientBuilder(ApacheHttpClient.builder().maxConnections(MAX_STREAM_CONNECTIONS))
                .build();
    }

    private static StandardRetryStrategy retries(int attempts, Duration longest) {
        BackoffStrategy backoff = BackoffStrategy.exponentialDelay(Duration.ofMillis(100), longest);
        return AwsRetryStrategy.standardRetryStrategy().toBuilder()
                .maxAttempts(attempts)
                .backoffStrategy(backoff)
                .throttlingBackoffStrategy(backoff)
                // How DynamoDB Streams throttles; the SDK would take it for a mistake of ours.
                .retryOnException(LimitExceededException.class)
                .treatAsThrottling(AwsClients::isThrottled)
                // Its retries are counted for the whole client: one shard's trouble would take another's away.
                .circuitBreakerEnabled(false)
                .build();
    }

    private static boolean isThrottled(Throwable e) {
        return e instanceof LimitExceededException
                || (e instanceof AwsServiceException aws && aws.isThrottlingException());
    }

    /** DynamoDB Local takes any credentials: no instance metadata is asked for them. */
    private static AwsCredentialsProvider localCredentials() {
        return AwsCredentialsProviderChain.builder()
                .addCredentialsProvider(EnvironmentVariableCredentialsProvider.create())
                .addCredentialsProvider(SystemPropertyCredentialsProvider.create())
                .addCredentialsProvider(ProfileCredentialsProvider.create())
                .addCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
                .build();
    }

    private static boolean isLoopback(URI endpoint) {
        String host = String.valueOf(endpoint.getHost());
        return host.equals("localhost") || host.startsWith("127.") || host.equals("[::1]");
    }
}
