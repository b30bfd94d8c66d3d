package recordprocessor;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import software.amazon.awssdk.awscore.AwsRequestOverrideConfiguration;
import software.amazon.awssdk.core.exception.RetryableException;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttribute;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.SdkHttpResponse;
import software.amazon.awssdk.services.dynamodb.model.GetRecordsRequest;

/** The records of one call of GetRecords, taken out of its answer before the SDK makes objects of them. */
final class TakenRecords {
    private static final ExecutionAttribute<TakenRecords> OF_CALL = new ExecutionAttribute<>("TakenRecords");
    private static final String CHECKSUM = "x-amz-crc32";

    private final Predicate<Instant> isOlder;
    private Optional<String> checksum = Optional.empty();
    private List<ReadRecord> records;

    /** @param isOlder whether a record that was created then counts as handled */
    TakenRecords(Predicate<Instant> isOlder) {
        this.isOlder = isOlder;
    }

    /** The call whose answer they are taken from, by {@link Interceptor}. */
    GetRecordsRequest from(GetRecordsRequest request) {
        return request.toBuilder()
                .overrideConfiguration(request.overrideConfiguration()
                        .map(config -> config.toBuilder())
                        .orElseGet(AwsRequestOverrideConfiguration::builder)
                        .putExecutionAttribute(OF_CALL, this)
                        .build())
                .build();
    }

    /** Nothing if they were left in the answer. */
    Optional<List<ReadRecord>> records() {
        return Optional.ofNullable(records);
    }

    /** The answer without them; its checksum, which the SDK would hold against that, is held against the whole here. */
    private InputStream take(InputStream body) {
        try (body) {
            CheckedInputStream checked = new CheckedInputStream(body, new CRC32());
            RecordsParser.Answer answer = RecordsParser.parse(checked, isOlder);
            checked.transferTo(OutputStream.nullOutputStream());
            String actual = Long.toString(checked.getChecksum().getValue());
            if (!checksum.orElse(actual).equals(actual)) {
                throw new IOException("its CRC32 is " + actual + " instead of " + checksum.get());
            }
            records = answer.records();
            return rest(answer.nextShardIterator());
        } catch (JsonProcessingException e) {
            // Its own words may have a piece of a record in them.
            throw unreadable("it is not as it should be at byte "
                    + (e.getLocation() == null ? "?" : e.getLocation().getByteOffset()));
        } catch (IOException e) {
            throw unreadable(Errors.oneLine(e));
        }
    }

    private static RetryableException unreadable(String why) {
        return RetryableException.create("an answer of GetRecords could not be read: " + why);
    }

    private static InputStream rest(String nextShardIterator) {
        ObjectNode rest = JsonNodeFactory.instance.objectNode();
        if (nextShardIterator != null) {
            rest.put("NextShardIterator", nextShardIterator);
        }
        return new ByteArrayInputStream(rest.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** Where in the SDK's way they are taken; a compressed answer goes past it. */
    static final class Interceptor implements ExecutionInterceptor {
        @Override
        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            TakenRecords taken = attributes.getAttribute(OF_CALL);
            if (taken != null) {
                taken.records = null;
                taken.checksum = context.httpResponse().firstMatchingHeader(CHECKSUM);
            }
        }

        @Override
        public SdkHttpResponse modifyHttpResponse(Context.ModifyHttpResponse context, ExecutionAttributes attributes) {
            return isTaken(context, attributes)
                    ? context.httpResponse().toBuilder().removeHeader(CHECKSUM).build()
                    : context.httpResponse();
        }

        @Override
        public Optional<InputStream> modifyHttpResponseContent(
                Context.ModifyHttpResponse context, ExecutionAttributes attributes) {
            return isTaken(context, attributes)
                    ? context.responseBody().map(attributes.getAttribute(OF_CALL)::take)
                    : context.responseBody();
        }

        private static boolean isTaken(Context.ModifyHttpResponse context, ExecutionAttributes attributes) {
            return attributes.getAttribute(OF_CALL) != null
                    && context.httpResponse().isSuccessful()
                    && context.httpResponse()
                            .firstMatchingHeader("Content-Encoding")
                            .isEmpty();
        }
    }
}
