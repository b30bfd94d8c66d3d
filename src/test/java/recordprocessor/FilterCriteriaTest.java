package recordprocessor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.StreamRecord;

class FilterCriteriaTest {
    private static final String ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1";

    private final JsonNode vectors;

    FilterCriteriaTest() throws IOException {
        vectors = FilterVectors.read("filter_criteria.json");
    }

    @Test
    void filtersDecideAsTheVectorsSay() throws IOException {
        for (JsonNode vector : vectors.path("cases")) {
            JsonNode verdict = vector.path("verdict");
            for (String criteria : criteria(vector)) {
                String name = vector.path("name").asText();
                if (verdict.isBoolean()) {
                    assertEquals(verdict.asBoolean(), passes(FilterCriteria.parse(criteria), event(vector)), name);
                    continue;
                }
                String reason = assertThrows(IllegalArgumentException.class, () -> FilterCriteria.parse(criteria), name)
                        .getMessage();
                if (verdict.path("refused").isNull()) {
                    assertTrue(reason.contains("not JSON: "), name + ": " + reason);
                } else {
                    assertEquals(verdict.path("refused").asText(), reason, name);
                }
            }
        }
    }

    /** Each pattern of the vectors on each event in them: what is left out of an event tells nothing. */
    @Test
    void theWholeEventHasTheSameVerdict() throws IOException {
        int passed = 0;
        for (String pattern : acceptedPatterns()) {
            FilterCriteria criteria = FilterCriteria.parse(criteriaOf(pattern));
            for (JsonNode event : events()) {
                boolean expected = FilterVectors.wholeRuler(List.of(pattern), event);
                assertEquals(expected, passes(criteria, event), pattern + " on " + event);
                passed += expected ? 1 : 0;
            }
        }
        assertTrue(passed > 500, "only " + passed + " passed");
    }

    @Test
    void manyThreadsMayAskAtOnce() throws IOException {
        List<FilterCriteria> all = new ArrayList<>();
        for (String pattern : acceptedPatterns()) {
            all.add(FilterCriteria.parse(criteriaOf(pattern)));
        }
        List<Record> records = new ArrayList<>();
        for (JsonNode event : events()) {
            records.add(FilterVectors.event(event));
        }
        List<Boolean> expected = verdicts(all, records);
        assertTrue(IntStream.range(0, 40).parallel().allMatch(i -> verdicts(all, records)
                .equals(expected)));
    }

    private static List<Boolean> verdicts(List<FilterCriteria> all, List<Record> records) {
        return all.stream()
                .flatMap(criteria -> records.stream().map(event -> criteria.matches(event, ARN)))
                .toList();
    }

    @Test
    void sectionsAreThoseThatPatternsLookAt() {
        assertEquals(Set.of(), FilterCriteria.parse("{\"Filters\":[]}").sections());
        assertEquals(Set.of(), parse("{'eventName':['INSERT']}").sections());
        assertEquals(
                Set.of("NewImage"),
                parse("{'dynamodb':{'NewImage':{'OldImage':{'S':['x']}}}}").sections());
        assertEquals(
                Set.of("Keys", "OldImage"),
                parse("{'dynamodb':{'$or':[{'Keys':{'a':{'S':['x']}}},{'OldImage':{'a':{'S':['x']}}}]}}")
                        .sections());
    }

    @Test
    void aRecordPassesIfItCannotBeTold() {
        assertTrue(parse("{'eventName':['INSERT']}").matches(Record.builder().build(), ARN));
    }

    /** With a machine for whole records these ended the JVM; see FilterRule. */
    @Test
    void longListsTakeNeitherMemoryNorTime() {
        List<AttributeValue> strings = Collections.nCopies(100_000, AttributeValue.fromS("x"));
        List<AttributeValue> maps = IntStream.range(0, 30_000)
                .mapToObj(i -> AttributeValue.fromM(Map.of(i % 2 == 0 ? "a" : "b", AttributeValue.fromS("x" + i))))
                .toList();
        Record event = record(Map.of(
                "l", AttributeValue.fromL(strings),
                "m", AttributeValue.fromL(strings),
                "n", AttributeValue.fromL(maps),
                "z", AttributeValue.fromS("z")));
        String any = "{'S':[{'exists':true}]}";
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            assertTrue(newImage("'l':{'L':" + any + "},'m':{'L':" + any + "},'z':{'S':['z']}")
                    .matches(event, ARN));
            assertFalse(newImage("'l':{'L':" + any + "},'m':{'L':" + any + "},'z':{'S':['y']}")
                    .matches(event, ARN));
            assertFalse(newImage("'n':{'L':{'M':{'a':" + any + ",'b':" + any + "}}}")
                    .matches(event, ARN));
        });
    }

    @Test
    void aLongStringThatIsNearlyAnAddressTakesNoTime() {
        Record event = record(Map.of("ip", AttributeValue.fromS(":".repeat(400_000) + "x")));
        assertTimeoutPreemptively(
                Duration.ofSeconds(20),
                () -> assertFalse(newImage("'ip':{'S':['::1',{'cidr':'::/1'}]}").matches(event, ARN)));
    }

    private static FilterCriteria newImage(String attributes) {
        return parse("{'dynamodb':{'NewImage':{" + attributes + "}}}");
    }

    private static FilterCriteria parse(String pattern) {
        return FilterCriteria.parse(criteriaOf(pattern.replace('\'', '"')));
    }

    private static Record record(Map<String, AttributeValue> image) {
        return Record.builder()
                .dynamodb(StreamRecord.builder().newImage(image).build())
                .build();
    }

    private static boolean passes(FilterCriteria criteria, JsonNode event) throws IOException {
        return criteria.matches(FilterVectors.event(event), FilterVectors.streamArn(event));
    }

    private static String criteriaOf(String pattern) {
        ObjectNode criteria = FilterVectors.JSON.createObjectNode();
        criteria.putArray("Filters").addObject().put("Pattern", pattern);
        return criteria.toString();
    }

    /** A vector's criteria as text: patterns that are objects as such, and as strings. */
    private static List<String> criteria(JsonNode vector) {
        JsonNode criteria = vector.path("criteria");
        if (criteria.isTextual()) {
            return List.of(criteria.asText());
        }
        ObjectNode asWritten = FilterVectors.JSON.createObjectNode();
        ObjectNode asStrings = FilterVectors.JSON.createObjectNode();
        asWritten.putArray("Filters");
        asStrings.putArray("Filters");
        for (JsonNode pattern : patterns(vector)) {
            asWritten.withArray("/Filters").addObject().set("Pattern", pattern);
            asStrings.withArray("/Filters").addObject().put("Pattern", text(pattern));
        }
        return List.of(asWritten.toString(), asStrings.toString());
    }

    private static List<JsonNode> patterns(JsonNode vector) {
        List<JsonNode> patterns = new ArrayList<>();
        if (vector.has("pattern")) {
            patterns.add(vector.path("pattern"));
        }
        vector.path("criteria").path("Filters").forEach(filter -> patterns.add(filter.path("Pattern")));
        return patterns;
    }

    private static String text(JsonNode pattern) {
        return pattern.isTextual() ? pattern.asText() : pattern.toString();
    }

    private List<String> acceptedPatterns() {
        List<String> accepted = new ArrayList<>();
        for (JsonNode vector : vectors.path("cases")) {
            if (vector.path("verdict").isBoolean()) {
                patterns(vector).forEach(pattern -> accepted.add(text(pattern)));
            }
        }
        return accepted;
    }

    /** But those for which ruler itself asks DNS. */
    private List<JsonNode> events() {
        List<JsonNode> events = new ArrayList<>();
        vectors.path("events").forEach(events::add);
        for (JsonNode vector : vectors.path("cases")) {
            JsonNode event = vector.path("event");
            if (event.isObject() && !event.toString().contains("256.1.1.1")) {
                events.add(event);
            }
        }
        return events;
    }

    private JsonNode event(JsonNode vector) {
        JsonNode event = vector.path("event");
        return event.isTextual() ? vectors.path("events").path(event.asText()) : event;
    }
}
