package recordprocessor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.event.ruler.JsonRuleCompiler;
import software.amazon.event.ruler.Machine;
import software.amazon.event.ruler.Patterns;

/** The vectors in tests/vectors, which Python's tests read, too. */
final class FilterVectors {
    static final ObjectMapper JSON = new ObjectMapper();

    private FilterVectors() {}

    static JsonNode read(String file) throws IOException {
        return JSON.readTree(Path.of("tests/vectors", file).toFile());
    }

    /** A record from what Lambda delivers. */
    static Record event(JsonNode json) throws IOException {
        ObjectNode event = json.deepCopy();
        ObjectNode stream = event.withObject("/dynamodb");
        JsonNode seconds = stream.path("ApproximateCreationDateTime");
        if (seconds.isNumber()) {
            stream.put("ApproximateCreationDateTime", Math.round(seconds.asDouble() * 1000));
        }
        return WireExamples.event(event);
    }

    static String streamArn(JsonNode event) {
        return WireExamples.text(event, "eventSourceARN");
    }

    /**
     * What ruler itself says of the whole event, with a machine for each choice of one pattern from every list: with all in
     * one machine it makes the mistakes that {@link FilterRule} tells of.
     */
    static boolean wholeRuler(Iterable<String> patterns, JsonNode event) throws IOException {
        for (String pattern : patterns) {
            for (Map<String, List<Patterns>> branch : JsonRuleCompiler.compile(pattern)) {
                if (matches(branch, List.copyOf(branch.keySet()), Map.of(), event)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static boolean matches(
            Map<String, List<Patterns>> branch,
            List<String> names,
            Map<String, List<Patterns>> chosen,
            JsonNode event) {
        if (chosen.size() == names.size()) {
            Machine machine = Machine.builder().build();
            machine.addPatternRule("rule", chosen);
            return !machine.rulesForJSONEvent(event).isEmpty();
        }
        String name = names.get(chosen.size());
        return branch.get(name).stream().anyMatch(pattern -> {
            Map<String, List<Patterns>> more = new HashMap<>(chosen);
            more.put(name, List.of(pattern));
            return matches(branch, names, more, event);
        });
    }
}
