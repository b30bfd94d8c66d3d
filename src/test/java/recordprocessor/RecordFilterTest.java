package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.cloudwatch.model.StandardUnit;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.OperationType;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamViewType;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.MetricsScope;

class RecordFilterTest {
    private static final String STREAM =
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970";
    private static final String PAID =
            "{\"Filters\": [{\"Pattern\": {\"dynamodb\": {\"NewImage\": {\"status\": {\"S\": [\"paid\"]}}}}}]}";

    private static RecordFilter filter(Map<String, ?> settings) throws JsonProcessingException {
        return RecordFilter.of(Settings.parse(new ObjectMapper().writeValueAsString(Map.of("settings", settings))));
    }

    private static Record modification(StreamViewType viewType, String before, String after) {
        return Record.builder()
                .eventName(OperationType.MODIFY)
                .dynamodb(stream -> stream.sequenceNumber("1")
                        .streamViewType(viewType)
                        .oldImage(Map.of("status", AttributeValue.fromS(before)))
                        .newImage(Map.of("status", AttributeValue.fromS(after))))
                .build();
    }

    private static boolean passes(RecordFilter filter, String before, String after) {
        return filter.passes(modification(StreamViewType.NEW_AND_OLD_IMAGES, before, after), STREAM);
    }

    @Test
    void withBothARecordMustPassBoth() throws JsonProcessingException {
        RecordFilter both = filter(Map.of("filterCriteria", PAID, "changedAttributes", List.of("status")));
        assertTrue(passes(both, "open", "paid"));
        assertFalse(passes(both, "paid", "paid"));
        assertFalse(passes(both, "paid", "open"));
        assertTrue(passes(filter(Map.of("filterCriteria", PAID)), "paid", "paid"));
        assertTrue(passes(filter(Map.of("changedAttributes", List.of("status"))), "paid", "open"));
        assertTrue(passes(filter(Map.of()), "open", "open"));
    }

    @Test
    void aStreamThatLacksAnImageIsNotFiltered() throws JsonProcessingException {
        RecordFilter paid = filter(Map.of("filterCriteria", PAID));
        assertFalse(paid.passes(modification(StreamViewType.NEW_IMAGE, "open", "open"), STREAM));
        assertTrue(paid.passes(modification(StreamViewType.OLD_IMAGE, "open", "open"), STREAM));
        assertTrue(paid.unseen("NEW_IMAGE").isEmpty());
        assertTrue(paid.unseen("KEYS_ONLY").orElseThrow().contains("needs NewImage"));
        assertTrue(filter(Map.of("changedAttributes", List.of("status")))
                .unseen("NEW_IMAGE")
                .orElseThrow()
                .contains("changedAttributes needs OldImage"));
    }

    @Test
    void aRecordThatCannotBeComparedPasses() throws JsonProcessingException {
        Record broken = Record.builder()
                .eventName(OperationType.MODIFY)
                .dynamodb(stream -> stream.sequenceNumber("1")
                        .oldImage(Map.of("n", AttributeValue.fromN("no number")))
                        .newImage(Map.of("n", AttributeValue.fromN("none either"))))
                .build();
        assertTrue(filter(Map.of("changedAttributes", List.of("n"))).passes(broken, STREAM));
    }

    @Test
    void aMistakeStopsTheStart() {
        StartException refused =
                assertThrows(StartException.class, () -> filter(Map.of("filterCriteria", "{\"Filters\": 1}")));
        assertEquals(ExitCode.USAGE, refused.exitCode());
        assertTrue(refused.getMessage().contains("Filters is no list"));
    }

    @Test
    void whatIsFilteredOutIsCountedByLambdasName() {
        List<String> counted = new ArrayList<>();
        FilteredRecords filtered = new FilteredRecords(() -> scope(counted), StreamNames.identifier(STREAM));
        filtered.add("shardId-1", 10, 0);
        filtered.add("shardId-1", 10, 7);
        assertTrue(counted.contains("FilteredOutEventCount 7.0 Count SUMMARY"), counted.toString());
        assertTrue(counted.contains("ShardId shardId-1"), counted.toString());
        assertEquals(1, counted.stream().filter("end"::equals).count());
    }

    private static MetricsScope scope(List<String> counted) {
        return new MetricsScope() {
            @Override
            public void addData(String name, double value, StandardUnit unit) {
                throw new AssertionError();
            }

            @Override
            public void addData(String name, double value, StandardUnit unit, MetricsLevel level) {
                counted.add(name + " " + value + " " + unit + " " + level);
            }

            @Override
            public void addDimension(String name, String value) {
                counted.add(name + " " + value);
            }

            @Override
            public void end() {
                counted.add("end");
            }
        };
    }
}
