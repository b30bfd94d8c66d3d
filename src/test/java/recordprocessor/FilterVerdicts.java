package recordprocessor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads lines of JSON with an event and criteria, or paths of attributes, and answers each with a line: whether the event
 * passes, or why they are refused. With patterns, too, it tells what ruler says of the whole event. For
 * tests/process/test_filters_java.py.
 */
final class FilterVerdicts {
    private FilterVerdicts() {}

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(FilterVectors.JSON.readTree(line)));
        }
    }

    private static JsonNode answer(JsonNode question) throws IOException {
        ObjectNode answer = FilterVectors.JSON.createObjectNode();
        try {
            answer.put("passes", passes(question, question.path("event")));
        } catch (IllegalArgumentException e) {
            return answer.put("refused", e.getMessage());
        }
        if (question.has("patterns")) {
            answer.put("ruler", FilterVectors.wholeRuler(strings(question.path("patterns")), question.path("event")));
        }
        return answer;
    }

    private static boolean passes(JsonNode question, JsonNode event) throws IOException {
        if (question.has("paths")) {
            return ChangedAttributes.parse(strings(question.path("paths"))).matches(FilterVectors.event(event));
        }
        return FilterCriteria.parse(question.path("criteria").asText())
                .matches(FilterVectors.event(event), FilterVectors.streamArn(event));
    }

    private static List<String> strings(JsonNode array) {
        List<String> found = new ArrayList<>();
        array.forEach(each -> found.add(each.asText()));
        return found;
    }
}
