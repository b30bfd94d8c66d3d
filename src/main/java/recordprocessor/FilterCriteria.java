package recordprocessor;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.event.ruler.JsonRuleCompiler;
import software.amazon.event.ruler.Patterns;

/**
 * Lambda's {@code FilterCriteria}: a record passes if it matches one of the filters, or if there is none. May be used by
 * many threads at once. The same in Python, held together by tests/vectors: {@code record_processor/filters}.
 */
final class FilterCriteria {
    private static final Logger log = LoggerFactory.getLogger(FilterCriteria.class);
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();
    private static final String EXAMPLE =
            ": write {\"Filters\":[{\"Pattern\":\"{\\\"eventName\\\":[\\\"INSERT\\\"]}\"}]}";
    /** EventBridge's limit of "rule combinations". */
    private static final int MAX_RULES = 1000;

    private static final List<String> SECTIONS = List.of("Keys", "NewImage", "OldImage");

    private final List<FilterRule> rules;
    private final LambdaEvent.Places places;
    private final Set<String> sections;
    private final AtomicBoolean hasFailed = new AtomicBoolean();

    private FilterCriteria(List<FilterRule> rules) {
        this.rules = rules;
        Set<String> names =
                rules.stream().flatMap(rule -> rule.names().stream()).collect(Collectors.toSet());
        this.places = new LambdaEvent.Places(names);
        this.sections = SECTIONS.stream()
                .filter(section -> names.stream().anyMatch(name -> name.startsWith("dynamodb." + section + ".")))
                .collect(Collectors.toUnmodifiableSet());
    }

    /**
     * Reads {@code {"Filters":[{"Pattern":"{\"eventName\":[\"INSERT\"]}"}]}}; a pattern may be an object, too.
     *
     * @throws IllegalArgumentException one line: what is wrong, in which filter, and how to mend it
     */
    static FilterCriteria parse(String json) {
        checkSyntax(json);
        try (JsonParser parser = JSON.createParser(json)) {
            List<FilterRule> rules = new ArrayList<>();
            parser.nextToken();
            enter(parser, "Filters");
            refuseUnless(parser.currentToken() == JsonToken.START_ARRAY, "Filters is no list" + EXAMPLE);
            for (int number = 1; parser.nextToken() != JsonToken.END_ARRAY; number++) {
                rules.addAll(filter(parser, number));
            }
            leave(parser, "Filters");
            return new FilterCriteria(List.copyOf(rules));
        } catch (IOException e) {
            throw new IllegalArgumentException("not JSON", e);
        }
    }

    /** Those of Keys, NewImage and OldImage that the patterns look at. */
    Set<String> sections() {
        return sections;
    }

    /** A record passes, too, if it cannot be told whether it should. */
    boolean matches(Record event, String streamArn) {
        try {
            LambdaEvent values = new LambdaEvent(event, streamArn, places);
            return rules.isEmpty() || rules.stream().anyMatch(rule -> rule.matches(values));
        } catch (RuntimeException e) {
            if (!hasFailed.getAndSet(true)) {
                // Without its message and its trace, which may have a record's content.
                log.warn("A filter failed, so its record passes; further ones pass in silence: {}", e.getClass());
            }
            return true;
        }
    }

    private static List<FilterRule> filter(JsonParser parser, int number) throws IOException {
        try {
            enter(parser, "Pattern");
            String pattern = pattern(parser);
            leave(parser, "Pattern");
            return read(pattern);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("filter " + number + ": " + e.getMessage(), e);
        }
    }

    private static String pattern(JsonParser parser) throws IOException {
        if (parser.currentToken() == JsonToken.START_OBJECT) {
            // Not by way of a tree, which would lose all but the last of several members of one name.
            StringWriter text = new StringWriter();
            try (JsonGenerator copy = JSON.createGenerator(text)) {
                copy.copyCurrentStructure(parser);
            }
            return text.toString();
        }
        refuseUnless(
                parser.currentToken() == JsonToken.VALUE_STRING, "Pattern is neither a string nor an object" + EXAMPLE);
        return parser.getText();
    }

    private static List<FilterRule> read(String pattern) throws IOException {
        checkSyntax(pattern);
        List<Map<String, List<Patterns>>> branches = compile(pattern);
        refuseUnless(
                branches.size() <= MAX_RULES,
                "$or makes more than " + MAX_RULES + " combinations: use several filters");
        FilterMistakes.check(pattern);
        return branches.stream().map(FilterRule::new).toList();
    }

    private static List<Map<String, List<Patterns>>> compile(String pattern) throws IOException {
        try {
            return JsonRuleCompiler.compile(pattern);
        } catch (JsonProcessingException e) {
            // Some of ruler's reasons have Jackson's " at [Source: …" inside.
            String reason = e.getOriginalMessage().replaceFirst("(?s)\\n at \\[Source.*", "");
            throw new IllegalArgumentException(Text.clean(reason), e);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(Text.clean(e.getMessage()), e);
        }
    }

    private static void checkSyntax(String json) {
        try {
            refuseUnless(!JSON.readTree(json).isMissingNode(), "not JSON: it is empty");
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("not JSON: " + Text.clean(e.getOriginalMessage()), e);
        }
    }

    /** Goes to the value of the only member that an object may have. */
    private static void enter(JsonParser parser, String name) throws IOException {
        refuseUnless(parser.currentToken() == JsonToken.START_OBJECT, "there is no object with " + name + EXAMPLE);
        refuseUnless(parser.nextToken() == JsonToken.FIELD_NAME, name + " is missing" + EXAMPLE);
        refuseUnless(parser.currentName().equals(name), stranger(parser, name));
        parser.nextToken();
    }

    private static void leave(JsonParser parser, String name) throws IOException {
        refuseUnless(parser.nextToken() == JsonToken.END_OBJECT, stranger(parser, name));
    }

    private static String stranger(JsonParser parser, String name) throws IOException {
        return Text.clean(parser.currentName()) + " does not belong there, only one " + name + EXAMPLE;
    }

    private static void refuseUnless(boolean condition, String reason) {
        if (!condition) {
            throw new IllegalArgumentException(reason);
        }
    }
}
