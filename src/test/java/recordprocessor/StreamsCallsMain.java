package recordprocessor;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.util.SdkAutoConstructList;
import software.amazon.awssdk.core.util.SdkAutoConstructMap;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.model.DescribeStreamRequest;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;
import software.amazon.awssdk.services.dynamodb.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.dynamodb.model.ListStreamsRequest;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;

/**
 * The Java SDK's client of DynamoDB Streams for the tests of the Python part: what it is asked and what it answers are
 * lines of JSON.
 */
public final class StreamsCallsMain {
    private static final ObjectMapper JSON = new ObjectMapper();

    private StreamsCallsMain() {}

    /**
     * Arguments: endpoint and region. Reads {@code {"operation": …, "content": {…}}}, answers {@code {"answer": {…}}} or
     * {@code {"code": …, "status": …}}; binaries are in base64, times in seconds.
     */
    public static void main(String[] arguments) throws IOException {
        DynamoDbStreamsClient client = DynamoDbStreamsClient.builder()
                .endpointOverride(URI.create(arguments[0]))
                .region(Region.of(arguments[1]))
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
                .build();
        BufferedReader calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String call = calls.readLine(); call != null; call = calls.readLine()) {
            output.println(JSON.writeValueAsString(answer(client, JSON.readValue(call, Call.class))));
        }
    }

    private record Call(String operation, Map<String, Object> content) {}

    private static Map<String, Object> answer(DynamoDbStreamsClient client, Call call) {
        try {
            return Map.of("answer", plain(called(client, call)));
        } catch (AwsServiceException e) {
            return Map.of("code", e.awsErrorDetails().errorCode(), "status", e.statusCode());
        }
    }

    private static SdkPojo called(DynamoDbStreamsClient client, Call call) {
        return switch (call.operation()) {
            case "ListStreams" ->
                client.listStreams(filled(ListStreamsRequest.builder(), call).build());
            case "DescribeStream" ->
                client.describeStream(
                        filled(DescribeStreamRequest.builder(), call).build());
            case "GetShardIterator" ->
                client.getShardIterator(
                        filled(GetShardIteratorRequest.builder(), call).build());
            case "GetRecords" ->
                client.getRecords(filled(GetRecordsRequest.builder(), call).build());
            default -> throw new IllegalArgumentException(call.operation());
        };
    }

    private static <T extends SdkPojo> T filled(T builder, Call call) {
        for (SdkField<?> field : builder.sdkFields()) {
            if (call.content().containsKey(field.memberName())) {
                field.set(builder, call.content().get(field.memberName()));
            }
        }
        return builder;
    }

    /** A value of the SDK's as JSON has it; fields that the answer lacks are left out. */
    private static Object plain(Object value) {
        if (value instanceof SdkPojo pojo) {
            Map<String, Object> fields = new LinkedHashMap<>();
            for (SdkField<?> field : pojo.sdkFields()) {
                Object content = field.getValueOrDefault(pojo);
                if (content != null
                        && !(content instanceof SdkAutoConstructList)
                        && !(content instanceof SdkAutoConstructMap)) {
                    fields.put(field.memberName(), plain(content));
                }
            }
            return fields;
        }
        if (value instanceof List<?> list) {
            return list.stream().map(StreamsCallsMain::plain).toList();
        }
        if (value instanceof Map<?, ?> map) {
            Map<Object, Object> entries = new LinkedHashMap<>();
            map.forEach((key, content) -> entries.put(key, plain(content)));
            return entries;
        }
        if (value instanceof SdkBytes bytes) {
            return Base64.getEncoder().encodeToString(bytes.asByteArray());
        }
        return value instanceof Instant time ? time.toEpochMilli() / 1000.0 : value;
    }
}
